"""The bridges that are compared: each carries lines of a serial device to a counting receiver."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from simulated_devices import SimulatedSerialLine

from .bed import agent_and_viewer, environment, listening, process

_CACHE = Path(".cache")
_PEERS = _CACHE / "bench-venv"
_LEAN = _CACHE / "service-venv"


@dataclass
class Bench:
    """A running bridge.

    Parameters:
        pid: its process, and `helpers` further ones that belong to it.
        line: the device's end.
        received: whole lines that have come through, in order of arrival.
    """

    pid: int
    line: SimulatedSerialLine
    helpers: list[int] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, lines: list[bytes]) -> None:
        """Takes note of lines that came through."""
        self.received += lines
        self.changed.set()

    async def wait_for(self, count: int, timeout_s: float) -> bool:
        """Whether so many lines come in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while len(self.received) < count:
                    self.changed.clear()
                    await self.changed.wait()
        return len(self.received) >= count


def lean_python() -> str:
    """A Python with the dependencies of one service and no others, byte-compiled, as its image has."""
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    command = [uv, "sync", "--quiet", "--locked", "--no-dev", "--package", "gps-receiver", "--python", sys.executable]
    command.append("--compile-bytecode")
    subprocess.run(command, check=True, env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(_LEAN.resolve())})
    python = str(_LEAN / "bin" / "python")
    subprocess.run([python, "-m", "compileall", "-q", "common", "services", "tests/benchmarks"], check=True)
    return python


@contextlib.asynccontextmanager
async def ours(folder: Path, durability: str = "always") -> AsyncIterator[Bench]:
    """The line service over the message socket, with its outbox on disk."""
    async with _to_agent(folder) as (line, agent, bench):
        outbox = {"durability": durability, "directory": str(folder)}
        agent.set_config("device", {"serial": {"port": str(line.path)}, "outbox": outbox})
        command = (lean_python(), "-m", "tests.benchmarks.line_service")
        async with process(*command, variables=environment(agent, "device")) as running:
            bench.pid = running.pid
            yield bench


@contextlib.asynccontextmanager
async def naive(folder: Path) -> AsyncIterator[Bench]:
    """`readline()` and a REST call for each line."""
    async with _to_agent(folder) as (line, agent, bench):
        command = [sys.executable, "-m", "tests.benchmarks.naive_bridge", str(line.path), str(agent.port)]
        async with process(*command, agent.id_of("device")) as running:
            bench.pid = running.pid
            yield bench


@contextlib.asynccontextmanager
async def _to_agent(folder: Path) -> AsyncIterator[tuple[SimulatedSerialLine, object, Bench]]:
    with SimulatedSerialLine(folder / "tty") as line:
        async with agent_and_viewer() as (agent, link):
            bench = Bench(0, line)

            async def count() -> None:
                async for message in link.messages():
                    bench.take([message.contentdata])

            counting = asyncio.ensure_future(count())
            yield line, agent, bench
            counting.cancel()


def missing_for_mqtt() -> str:
    """What has to be installed before MQTT bridges can run; "" when nothing."""
    missing = [name for name in ("mosquitto", "mosquitto_sub", "mosquitto_pub", "socat") if not shutil.which(name)]
    return f"{', '.join(missing)} missing (apt-get install mosquitto mosquitto-clients socat)" if missing else ""


def peers_python() -> str:
    """A Python with the peers, in an environment of its own."""
    python, done = _PEERS / "bin" / "python", _PEERS / "done"
    packages = Path(__file__).with_name("requirements.txt")
    if not done.exists() or done.read_text() != packages.read_text():
        subprocess.run([sys.executable, "-m", "venv", str(_PEERS)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(packages)], check=True)
        done.write_text(packages.read_text())
    return str(python)


@contextlib.asynccontextmanager
async def mqtt_io(folder: Path) -> AsyncIterator[Bench]:
    """mqtt-io reading the port every 10 ms, its fastest interval."""
    python = peers_python()
    async with _to_broker(folder) as (line, port, bench):
        config = folder / "mqtt-io.yml"
        config.write_text(
            f"mqtt: {{host: 127.0.0.1, port: {port}, topic_prefix: bench}}\n"
            "stream_modules:\n"
            f"  - {{name: line, module: serial, device: {line.path}, baud: 9600, read_interval: 0.01, read: true}}\n"
        )
        async with process(python, "-m", "mqtt_io", str(config)) as running:
            bench.pid = running.pid
            yield bench


@contextlib.asynccontextmanager
async def shell_pipe(folder: Path) -> AsyncIterator[Bench]:
    """`socat | mosquitto_pub -l -q 1`: no framing, no buffering, no settings."""
    async with _to_broker(folder) as (line, port, bench):
        command = f"socat -u {line.path},raw,echo=0 - | mosquitto_pub -p {port} -t bench/line -q 1 -l"
        async with process("sh", "-c", command) as running:
            bench.pid = running.pid
            yield bench


@contextlib.asynccontextmanager
async def _to_broker(folder: Path) -> AsyncIterator[tuple[SimulatedSerialLine, int, Bench]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "broker.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    with SimulatedSerialLine(folder / "tty") as line:
        async with process("mosquitto", "-c", str(folder / "broker.conf")):
            bench = Bench(0, line)
            await listening(port)
            subscriber = await asyncio.create_subprocess_exec(
                *("mosquitto_sub", "-p", str(port), "-t", "bench/#", "-q", "1"), stdout=asyncio.subprocess.PIPE
            )
            counting = asyncio.ensure_future(_count(subscriber, bench.take))
            yield line, port, bench
            subscriber.terminate()
            await subscriber.wait()
            await counting


async def _count(subscriber: asyncio.subprocess.Process, take: Callable[[list[bytes]], None]) -> None:
    assert subscriber.stdout is not None
    rest = b""
    while data := await subscriber.stdout.read(65_536):
        *lines, rest = (rest + data).split(b"\n")
        take([line for line in lines if line and b"online" not in line])
