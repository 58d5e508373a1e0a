"""Serial line to receiver: start, idle, latency, rate, processor time and memory of each bridge."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple

from .bed import cpu_s, lines, rss_mib, wake_ups
from .bridges import Bench, missing_for_mqtt, mqtt_io, naive, ours, shell_pipe
from .report import Row, at_least, at_most, cannot_run

_LATENCY_LINES = 150


class Figures(NamedTuple):
    """What was measured of one bridge."""

    start_s: float
    wake_ups_per_s: float
    latency_ms: float
    lines_per_s: float
    cpu_us: float
    rss_mib: float


async def measure(bridge: Callable[[Path], AbstractAsyncContextManager[Bench]], count: int, idle_s: float) -> Figures:
    """Runs one bridge through all measurements."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        async with bridge(Path(folder)) as bench:
            began = time.perf_counter()
            while not bench.received:
                bench.line.write(lines(1))
                await asyncio.sleep(0.01)  # any bridge, also one that does not say when it is ready
            start_s = time.perf_counter() - began
            await _quiet(bench)
            before = wake_ups(bench.pid)
            await asyncio.sleep(idle_s)  # what is measured: doing nothing
            waked = (wake_ups(bench.pid) - before) / idle_s
            latency_ms = await _latency(bench)
            memory = rss_mib(bench.pid)
            have, cpu, began = len(bench.received), cpu_s(bench.pid), time.perf_counter()
            await bench.line.send(lines(count))
            await bench.wait_for(have + count, 60)
            seconds = time.perf_counter() - began
            whole = len(bench.received) - have
            used = cpu_s(bench.pid) - cpu
            return Figures(start_s, waked, latency_ms, whole / seconds, used / max(whole, 1) * 1e6, memory)


async def _quiet(bench: Bench) -> None:
    """Waits until what was sent during the start has come through."""
    while True:
        have = len(bench.received)
        await asyncio.sleep(0.5)  # that nothing comes can only be waited for
        if len(bench.received) == have:
            return


async def _latency(bench: Bench) -> float:
    found = []
    for number in range(_LATENCY_LINES):
        have = len(bench.received)
        began = time.perf_counter()
        bench.line.write(lines(1))
        if await bench.wait_for(have + 1, 5):
            found.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.01 + (number % 10) * 0.001)  # uneven, so that no timer of a bridge keeps step with it
    return statistics.median(found)


async def rows(quick: bool) -> list[Row]:
    """The table of all bridges."""
    count, idle_s = (5_000, 3.0) if quick else (20_000, 10.0)
    us = await measure(ours, count, idle_s)
    rest = await measure(naive, 500 if quick else 1_500, 1.0)
    baseline = f"readline() + REST call: {rest.cpu_us:.0f} us/line, {rest.lines_per_s:.0f}/s"
    name = f"processor time per line, outbox on disk ({us.cpu_us:.1f} us)"
    table = [
        at_least(name, rest.cpu_us / us.cpu_us, "x less", baseline, 20),
        at_most("idle wake-ups", us.wake_ups_per_s, "/s", f"connected and silent for {idle_s:g} s", 1),
    ]
    missing = missing_for_mqtt()
    if missing:
        goals = ("rate >= 4 x", "latency <= 1.3 x the pipe or <= 0.25 x", "memory <= 0.85 x", "start <= 0.4 x")
        return [*table, *(cannot_run(f"against mqtt-io: {goal.split(' ', 1)[0]}", missing, goal) for goal in goals)]
    peer = await measure(mqtt_io, 5_000, 1.0)
    pipe = await measure(shell_pipe, count, 1.0)
    ratio_pipe, ratio_peer = us.latency_ms / pipe.latency_ms, us.latency_ms / peer.latency_ms
    latency = Row(
        f"latency p50, outbox on disk ({us.latency_ms:.2f} ms)",
        round(ratio_pipe, 3),
        "x the pipe",
        f"shell pipe {pipe.latency_ms:.2f} ms; mqtt-io {peer.latency_ms:.2f} ms ({ratio_peer:.3f} x)",
        "<= 1.3 x the pipe or <= 0.25 x mqtt-io",
        ratio_pipe <= 1.3 or ratio_peer <= 0.25,
    )
    return [
        *table,
        at_least(
            f"whole lines/s, outbox on disk ({us.lines_per_s:.0f}/s)",
            us.lines_per_s / peer.lines_per_s,
            "x",
            f"mqtt-io {peer.lines_per_s:.0f}/s; shell pipe {pipe.lines_per_s:.0f}/s",
            4,
        ),
        latency,
        at_most(
            f"memory of the live service ({us.rss_mib:.1f} MiB)",
            us.rss_mib / peer.rss_mib,
            "x",
            f"mqtt-io {peer.rss_mib:.1f} MiB",
            0.85,
        ),
        at_most(
            f"start to first message ({us.start_s:.2f} s)",
            us.start_s / peer.start_s,
            "x",
            f"mqtt-io {peer.start_s:.2f} s",
            0.4,
        ),
    ]
