"""The fixture `running_service`: services under test, in this process or as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from device_bridge import DeviceService, Settings
from device_bridge.runtime import Runtime
from device_bridge.settings import SettingsSources
from iofog_sdk import IoMessage, connect

from .movable_clock import is_movable
from .nodes.memory_link import MemoryLink
from .received import Received
from .transcript import Transcript

_STOP_S = 60.0


class Reachable(Protocol):
    """A device, bus or broker of a fixture."""

    @property
    def settings(self) -> dict[str, Any]:
        """Members of a service's settings by which it is reached."""


class Node(Protocol):
    """What a service sends to, as the fixture `local_agent`."""

    def variables(self) -> dict[str, str]:
        """Of the service's environment."""

    def configure(self, settings: dict[str, Any]) -> None:
        """Gives the service its configuration."""

    async def send(self, message: IoMessage) -> None:
        """Sends the service a message."""


class RunningServiceFixture:
    """Starts services, and ends them with the test.

    Parameters:
        folder: for settings files.
        transcript: of the test.
        received: takes what they send.
        real_devices: paths that they may open on this machine.
    """

    def __init__(
        self, folder: Path, transcript: Transcript, received: Received, real_devices: frozenset[str] = frozenset()
    ) -> None:
        self._folder, self._transcript, self._real_devices = folder, transcript, real_devices
        self.received = received
        self._node: Node | None = None
        self._link: MemoryLink | None = None
        self._runtimes: list[tuple[Runtime, asyncio.Future[None]]] = []
        self._processes: list[tuple[asyncio.subprocess.Process, list[asyncio.Task[None]]]] = []

    async def start(
        self,
        service: type[DeviceService[Any]],
        *devices: Reachable,
        as_process: bool = False,
        node: Node | None = None,
        **settings: Any,
    ) -> None:
        """Runs a service until the end of the test; what it sends is in `received`.

        Parameters:
            service: its class.
            devices: fixtures that it uses; their settings are its.
            as_process: whether it runs as `python -m NAME`; by default in this process.
            node: `local_agent`; by default what it sends is with the test at once.
            settings: more of its settings, merged into those of the devices.

        Raises SettingsError for settings that it cannot use, AssertionError when they name a real device.
        """
        members: dict[str, Any] = {}
        for each in (*(device.settings for device in devices), settings):
            _merge(members, each)
        self._check(service, members)
        if (as_process or node is not None) and is_movable():
            raise AssertionError("processes and nodes need the real clock: leave out the fixture `clock`")
        self._node = node
        self._transcript.note("running_service", f"{service.name()} starts with {json.dumps(members)}")
        if node is not None:
            node.configure(members)
        variables = node.variables() if node is not None else {"IOFOG_LINK": "console:"}
        if as_process:
            await self._start_process(service.name(), members if node is None else None, variables)
            return
        if node is None:
            self._link = link = MemoryLink(self.received.take)
            link.config = json.dumps(members)
        sources = SettingsSources(service.settings_type, file=None, environment={})
        runtime = Runtime(service, sources, link if node is None else connect(variables))
        self._runtimes.append((runtime, asyncio.ensure_future(self._contained(runtime))))

    async def _contained(self, runtime: Runtime) -> None:
        try:
            await runtime.run()
        except Exception as error:
            self.received.fail(error)

    def configure(self, **settings: Any) -> None:
        """Gives the running service another configuration, as a node does; it goes over to it."""
        self._transcript.note("running_service", f"is configured with {json.dumps(settings)}")
        if self._node is not None:
            self._node.configure(settings)
        else:
            self._memory_link().configure(json.dumps(settings))

    async def command(self, name: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command and waits for its result: `ok`, `detail`, `took_s`, `readings`."""
        command_id = uuid.uuid4().hex
        content = json.dumps({"command": name, "id": command_id, **parameters}).encode()
        self._transcript.note("running_service", f"gets  {content.decode()}")
        now_ms = time.time_ns() // 1_000_000
        message = IoMessage(id=command_id, infotype="application/json", infoformat="utf-8", contentdata=content)
        message.timestamp = now_ms
        if self._node is not None:
            await self._node.send(message)
        else:
            self._memory_link().inbox.put_nowait(message)
        return await self.received.result_of(command_id)

    def _memory_link(self) -> MemoryLink:
        if self._link is None:
            raise AssertionError(
                "a process without a node takes neither commands nor a configuration: start it with node=local_agent"
            )
        return self._link

    async def stop(self) -> None:
        """Ends all services in order."""
        for runtime, _ in self._runtimes:
            runtime.stop()
        await asyncio.wait_for(asyncio.gather(*(task for _, task in self._runtimes)), _STOP_S)
        self._runtimes.clear()
        for process, _ in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process, reading in self._processes:
            await asyncio.wait_for(process.wait(), _STOP_S)
            await asyncio.gather(*reading)
        self._processes.clear()

    async def _start_process(self, name: str, members: dict[str, Any] | None, variables: Mapping[str, str]) -> None:
        clean = {key: text for key, text in os.environ.items() if not key.startswith(("SETTING_", "IOFOG_"))}
        arguments = []
        if members is not None:
            file = self._folder / f"{name}.{len(self._processes)}.json"
            file.write_text(json.dumps(members))
            arguments = ["--settings", str(file)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", name, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**clean, **variables},
        )
        reading = [asyncio.ensure_future(work) for work in (self._read_messages(process), self._read_log(process))]
        self._processes.append((process, reading))

    async def _read_messages(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        async for line in process.stdout:
            printed = msgspec.json.decode(line)
            content = msgspec.json.encode(printed["content"])
            self.received.take(IoMessage(infotype=printed["infotype"], contentdata=content))
        if status := await process.wait():
            self.received.fail(AssertionError(f"the service ended with status {status}"))

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None  # noqa: S101 - a pipe was asked for
        async for line in process.stderr:
            self._transcript.note("running_service", line.decode(errors="replace").rstrip())

    def _check(self, service: type[DeviceService[Any]], members: dict[str, Any]) -> None:
        """Raises SettingsError; AssertionError for the path of a real device that was not asked for."""
        sources = SettingsSources(service.settings_type, file=None, environment={})
        resolved: Settings = sources.resolve(json.dumps(members))
        service.check_settings(resolved)
        for path in _paths(msgspec.to_builtins(resolved)):
            if path not in self._real_devices:
                raise AssertionError(
                    f"the settings name {path} of this machine: pass a fixture as i2c_bus to start, or mark the test "
                    "with needs_bus, pass real_bus, and run it with --devices=board:FILE"
                )


def _merge(into: dict[str, Any], members: Mapping[str, Any]) -> None:
    for name, value in members.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = dict(value) if isinstance(value, Mapping) else value


def _paths(value: Any) -> Iterator[str]:
    """Device paths in settings."""
    if isinstance(value, str) and (value == "/dev" or value.startswith("/dev/")):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _paths(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _paths(member)
