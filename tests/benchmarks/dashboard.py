"""The live page: 200 sources that send ten times a second, five pages open, and memory at ten times that speed."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp

from device_bridge import Reading
from device_bridge.messages import senml
from iofog_sdk import IoMessage, Link, Outcome, Receipt, connect
from local_agent import AgentConfig, Listen, LocalAgent, Microservice, Route
from local_agent.ports import free_port

from . import page_frames
from .bed import cpu_s, environment, listening, process, rss_mib
from .report import Row, at_most

_SOURCES, _INTERVAL_S, _PAGES = 200, 0.1, 5
_TICK_S, _SETTLE_S = 0.005, 10.0
_MOST_WAITING = 2000
"""Messages without a receipt: at ten times the speed the node's rate is the limit."""
_PLAIN = "tests.benchmarks.plain_page"


class Measured(NamedTuple):
    """What a process has needed.

    Parameters:
        messages: that it has got meanwhile.
        cpu_us: of the processor, per message.
        share: of one core.
        per_s: messages.
        rss: MiB at each of several points.
    """

    messages: int
    cpu_us: float
    share: float
    per_s: float
    rss: Sequence[float]


async def rows(quick: bool) -> list[Row]:
    """Processor time of a message, memory over many, and an update of the page."""
    seconds, flood_s = (10.0, 20.0) if quick else (30.0, 120.0)
    ours = await measure("live_dashboard", seconds)
    usual = await measure(_PLAIN, seconds)
    floor = await measure(_PLAIN, seconds, pages=0)
    flood = await measure("live_dashboard", flood_s, speed=10, points=6)
    async with _sending("live_dashboard") as site:
        update = await page_frames.row(f"http://127.0.0.1:{site.port}/", seconds / 2)
    per_message = f"{_SOURCES} sources, {1 / _INTERVAL_S:g} messages a second each, {_PAGES} pages open"
    return [
        at_most(
            f"live page: {per_message} ({ours.cpu_us:.0f} us a message)",
            ours.cpu_us / usual.cpu_us,
            "x",
            f"aiohttp and json, each message to each page: {usual.cpu_us:.0f} us",
            0.8,
        ),
        at_most(
            "the same, against reading alone",
            ours.cpu_us / floor.cpu_us,
            "x",
            f"aiohttp and json, no page: {floor.cpu_us:.0f} us",
            2.0,
        ),
        at_most(
            "the same, of one core",
            100 * ours.share,
            "%",
            f"reading alone: {100 * floor.share:.1f} %",
            5,
        ),
        at_most(
            f"its memory after {flood.messages} more messages at {flood.per_s:.0f}/s ({flood.rss[-1]:.1f} MiB)",
            flood.rss[-1] / flood.rss[0],
            "x",
            "MiB on the way: " + " ".join(f"{each:.1f}" for each in flood.rss),
            1.03,
        ),
        update,
    ]


async def measure(module: str, seconds: float, *, speed: float = 1, points: int = 1, pages: int = _PAGES) -> Measured:
    """Runs one of the two.

    Parameters:
        module: which.
        seconds: to measure for, after 10 that are not counted.
        speed: messages are so many times as frequent, if the node is as fast.
        points: of memory.
        pages: that are open.
    """
    async with _sending(module, speed) as site, aiohttp.ClientSession() as session:
        looking = [asyncio.ensure_future(_look(session, site.port)) for _ in range(pages)]
        await asyncio.sleep(_SETTLE_S)  # what starts up is not measured
        before, used_s, began = site.sent, cpu_s(site.pid), time.monotonic()
        memory = []
        for _ in range(points):
            await asyncio.sleep(seconds / points)  # what is measured: the time in between
            memory.append(rss_mib(site.pid))
        used_s = cpu_s(site.pid) - used_s
        count, took_s = site.sent - before, time.monotonic() - began
        assert not any(task.done() for task in looking)
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
    return Measured(count, 1e6 * used_s / count, used_s / took_s, count / took_s, memory)


@dataclass
class _Site:
    """A process that shows what comes, and how much has been sent to it.

    Parameters:
        pid, port: of the process.
        sent: messages with a receipt.
    """

    pid: int
    port: int
    sent: int = 0


@contextlib.asynccontextmanager
async def _sending(module: str, speed: float = 1) -> AsyncIterator[_Site]:
    """A process to which all sources send."""
    config = AgentConfig(
        listen=Listen(port=0),
        microservices={"device": Microservice(), "viewer": Microservice()},
        routes=[Route(source="device", to="viewer")],
    )
    async with (
        LocalAgent(config) as agent,
        _running(module, agent) as site,
        connect(environment(agent, "device")) as link,
    ):
        await link.wait_connected()
        sending = asyncio.ensure_future(_send(link, site, speed))
        yield site
        assert not sending.done(), sending
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


@contextlib.asynccontextmanager
async def _running(module: str, agent: LocalAgent) -> AsyncIterator[_Site]:
    port = free_port()
    identity = environment(agent, "viewer")["SELFNAME"]
    arguments = (str(agent.port), identity, str(port)) if module == _PLAIN else ()
    with tempfile.TemporaryDirectory() as folder:
        variables = environment(agent, "viewer") | {"SETTING_PAGE__PORT": str(port), "STATE_DIRECTORY": folder}
        async with process(sys.executable, "-m", module, *arguments, variables=variables) as running:
            await listening(port)
            yield _Site(running.pid, port)


async def _look(session: aiohttp.ClientSession, port: int) -> None:
    async with session.get(f"http://127.0.0.1:{port}/api/stream", timeout=aiohttp.ClientTimeout()) as stream:
        async for _ in stream.content.iter_any():
            pass


async def _send(link: Link, site: _Site, speed: float) -> None:
    message = IoMessage(infotype=senml.INFO_TYPE, infoformat="utf-8", publisher=link.microservice_id)
    per_s = speed * _SOURCES / _INTERVAL_S
    began, done = time.monotonic(), 0

    def count(outcome: Outcome) -> None:
        assert isinstance(outcome, Receipt), outcome
        site.sent += 1

    while True:
        due = min(int((time.monotonic() - began) * per_s), site.sent + _MOST_WAITING)
        for number in range(done, due):
            at = number % _SOURCES
            message.groupid, message.sequencenumber = f"{at:032}", number // _SOURCES + 1
            reading = Reading("temperature", round(50 + 40 * math.sin(number / 5000 + at), 2), "Cel", time.time())
            message.contentdata = senml.encode([reading], f"source-{at:03}:")
            link.post(message.to_bytes(), count)
        done = due
        await asyncio.sleep(_TICK_S)  # as often as many small services together send
        await link.wait_for_room()
