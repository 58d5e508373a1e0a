"""The live page's process: 200 sources that send ten times a second, five pages open, and memory at ten times that."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import aiohttp

from device_bridge import Reading
from device_bridge.messages import senml
from iofog_sdk import IoMessage, Link, Outcome, Receipt, connect
from local_agent import AgentConfig, Listen, LocalAgent, Microservice, Route
from local_agent.ports import free_port

from .bed import cpu_s, environment, listening, process, rss_mib
from .report import Row, at_most

_SOURCES, _INTERVAL_S, _PAGES = 200, 0.1, 5
_TICK_S = 0.005
_MOST_WAITING = 2000
"""Messages without a receipt: at ten times the speed the node's rate is the limit."""
_PLAIN = "tests.benchmarks.plain_page"


class Measured(NamedTuple):
    """What a process has needed.

    Parameters:
        cpu_us: of the processor, per message.
        share: of one core.
        rss: MiB at each of several points.
    """

    cpu_us: float
    share: float
    rss: Sequence[float]


async def rows(quick: bool) -> list[Row]:
    """Processor time of a message, and memory over many."""
    seconds = 10.0 if quick else 30.0
    ours = await measure("live_dashboard", seconds)
    plain = await measure(_PLAIN, seconds)
    flood = await measure("live_dashboard", seconds, speed=10, points=3)
    return [
        at_most(
            f"live page, 200 sources x 10/s ({ours.cpu_us:.0f} us a message)", 100 * ours.share, "% of a core", "", 5
        ),
        at_most("the same", ours.cpu_us / plain.cpu_us, "x", f"aiohttp, JSON: {plain.cpu_us:.0f} us", 0.33),
        at_most("memory", flood.rss[-1] / flood.rss[0], "x", f"{flood.rss}", 1.02),
    ]


async def measure(
    module: str, seconds: float, *, speed: float = 1, points: int = 1, readings: int = 1, pages: int = _PAGES
) -> Measured:
    """Runs one of the two.

    Parameters:
        module: which.
        seconds: to measure for, after as many that are not counted, 10 at most.
        speed: messages are so many times as frequent.
        points: of memory, the first after a third of the time at the latest.
        readings: in a message.
    """
    config = AgentConfig(
        listen=Listen(port=0),
        microservices={"device": Microservice(), "viewer": Microservice()},
        routes=[Route(source="device", to="viewer")],
    )
    async with LocalAgent(config) as agent, _running(module, agent) as (pid, port):
        async with connect(environment(agent, "device")) as link, aiohttp.ClientSession() as session:
            await link.wait_connected()
            pages = [asyncio.ensure_future(_look(session, port)) for _ in range(pages)]
            sent = itertools.count()
            sending = asyncio.ensure_future(_send(link, sent, speed, readings))
            await asyncio.sleep(min(seconds, 10))
            before, used_s, began = next(sent), cpu_s(pid), time.monotonic()
            memory = []
            for _ in range(points):
                await asyncio.sleep(seconds / points)
                memory.append(round(rss_mib(pid), 1))
            used_s = cpu_s(pid) - used_s
            count, took_s = next(sent) - before, time.monotonic() - began
            assert not any(task.done() for task in (sending, *pages))
            for task in (sending, *pages):
                task.cancel()
            await asyncio.gather(sending, *pages, return_exceptions=True)
    return Measured(1e6 * used_s / count, used_s / took_s, memory)


@contextlib.asynccontextmanager
async def _running(module: str, agent: LocalAgent) -> AsyncIterator[tuple[int, int]]:
    port = free_port()
    identity = environment(agent, "viewer")["SELFNAME"]
    arguments = (str(agent.port), identity, str(port)) if module == _PLAIN else ()
    with tempfile.TemporaryDirectory() as folder:
        variables = environment(agent, "viewer") | {"SETTING_PAGE__PORT": str(port), "STATE_DIRECTORY": folder}
        async with process(sys.executable, "-m", module, *arguments, variables=variables) as running:
            await listening(port)
            yield running.pid, port


async def _look(session: aiohttp.ClientSession, port: int) -> None:
    async with session.get(f"http://127.0.0.1:{port}/api/stream", timeout=aiohttp.ClientTimeout()) as stream:
        async for _ in stream.content.iter_any():
            pass


async def _send(link: Link, sent: itertools.count[int], speed: float, readings: int) -> None:
    message = IoMessage(infotype=senml.INFO_TYPE, infoformat="utf-8")
    message.publisher = link.microservice_id
    per_s = speed * _SOURCES / _INTERVAL_S
    names = [f"quantity-{number}" for number in range(readings)]
    began, done = time.monotonic(), 0
    numbers: dict[int, int] = {}
    received = 0

    def count(outcome: Outcome) -> None:
        nonlocal received
        assert isinstance(outcome, Receipt), outcome
        received += 1

    while True:
        due = min(int((time.monotonic() - began) * per_s), received + _MOST_WAITING)
        for number in range(done, due):
            at = number % _SOURCES
            numbers[at] = numbers.get(at, 0) + 1
            message.groupid, message.sequencenumber = f"{at:032}", numbers[at]
            now = time.time()
            pack = [Reading(name, number % 1000 / 10, "Cel", now) for name in names]
            message.contentdata = senml.encode(pack, f"source-{at:03}:")
            link.post(message.to_bytes(), count)
            next(sent)
        done = due
        await asyncio.sleep(_TICK_S)
        await link.wait_for_room()


if __name__ == "__main__":
    module, seconds, speed, readings, pages = sys.argv[1], *map(float, sys.argv[2:])
    print(
        json.dumps(
            asyncio.run(measure(module, seconds, speed=speed, readings=int(readings), pages=int(pages)))._asdict()
        )
    )
