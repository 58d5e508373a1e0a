"""What every end-to-end measurement needs: an agent, a line, processes, and what the kernel says of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from iofog_sdk import Link, connect
from local_agent import AgentConfig, Listen, LocalAgent, Microservice, Route

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
LINE = b"$GPRMC,092750.000,A,5321.6802,N,00630.3372,W,0.02,31.66,28*4"
"""61 bytes with its line end, as the anchors were measured."""


def lines(count: int) -> bytes:
    """Numbered lines, each as long as LINE."""
    return b"".join(b"%08d" % number + LINE[8:] + b"\n" for number in range(count))


def cpu_s(pid: int) -> float:
    """Processor seconds a process has used, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def rss_mib(pid: int) -> float:
    """Resident memory."""
    return next(int(line.split()[1]) / 1024 for line in status(pid) if line.startswith("VmRSS"))


def wake_ups(pid: int) -> int:
    """Voluntary context switches so far, all threads."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        text = (task / "status").read_text().splitlines()
        total += next(int(line.split()[1]) for line in text if line.startswith("voluntary_ctxt_switches"))
    return total


def status(pid: int) -> list[str]:
    """Lines of /proc/PID/status."""
    return Path(f"/proc/{pid}/status").read_text().splitlines()


@contextlib.asynccontextmanager
async def process(
    *command: str, variables: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that ends with the block."""
    running = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **(variables or {})},
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.terminate()
            try:
                await asyncio.wait_for(running.wait(), 10)
            except TimeoutError:
                running.kill()
                await running.wait()


@contextlib.asynccontextmanager
async def agent_and_viewer() -> AsyncIterator[tuple[LocalAgent, Link]]:
    """An agent in this process, with a route from `device` to `viewer`, and the viewer's link."""
    config = AgentConfig(
        listen=Listen(port=0),
        microservices={"device": Microservice(), "viewer": Microservice()},
        routes=[Route(source="device", to="viewer")],
    )
    async with LocalAgent(config) as agent, connect(environment(agent, "viewer")) as link:
        await link.wait_connected()
        yield agent, link


def environment(agent: LocalAgent, name: str) -> dict[str, str]:
    """How a process reaches the agent as this microservice."""
    return {"SELFNAME": agent.id_of(name), "IOFOG_LINK": f"agent://127.0.0.1:{agent.port}"}


async def listening(port: int) -> None:
    """Returns when a process listens on the port."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)  # another process opens it, and says nothing of it
                continue
            writer.close()
            return
