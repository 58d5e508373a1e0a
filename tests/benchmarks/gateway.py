"""Several sensors in one process against one in its own: memory, processor time, start, a flood beside."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from .bed import cpu_s, rss_mib
from .bridges import lean_python
from .report import Row, at_least, at_most

_TEN, _HUNDRED = 10, 100
_INTERVAL_S = 0.2
_SETTLE_S = 3.0
_SERVICES = Path(__file__).parents[1] / "gateway" / "services"


async def rows(quick: bool) -> list[Row]:
    """Memory of ten bridges, processor time of a reading, a hundred at once, and an interval beside a flood."""
    seconds = 6.0 if quick else 20.0
    emulator = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "register_sensor.emulator", "--profile", "sht31", "--copies", "20"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    assert emulator.stdout is not None
    try:
        printed = json.loads(await emulator.stdout.readline())["settings"]
        alone = await _measured(_variables(printed, 0), seconds, module="register_sensor")
        one = await _measured(_gateway(printed, 1), seconds)
        ten = await _measured(_gateway(printed, _TEN), seconds)
        hundred = await _measured(_gateway(printed, _HUNDRED, interval=2.0), seconds)
        flood = {"flood": {"service": "bench_flooding", "settings": {"samples": 1 << 40}}}
        beside = await _measured(_gateway(printed, 1, more=flood), seconds)
    finally:
        emulator.terminate()
        await emulator.wait()
    return [
        at_most(
            f"memory of {_TEN} bridges ({ten.rss:.1f} MiB)", ten.rss / one.rss, "x", f"one: {one.rss:.1f} MiB", 1.15
        ),
        at_most(
            f"CPU of a reading of {_TEN} bridges ({ten.cpu_ms:.2f} ms)",
            ten.cpu_ms / alone.cpu_ms,
            "x",
            f"a service in a process of its own: {alone.cpu_ms:.2f} ms",
            1.1,
        ),
        at_least(f"of {_HUNDRED} bridges, those that read", hundred.sources, "", "all of them", _HUNDRED),
        at_most(
            f"interval beside a device that sends all the time ({1000 * beside.interval_s:.1f} ms)",
            abs(beside.interval_s / one.interval_s - 1),
            "x off",
            f"without it {1000 * one.interval_s:.1f} ms",
            0.05,
        ),
    ]


class _Measured:
    """What a process needed, and what came from it."""

    def __init__(self) -> None:
        self.rss = self.cpu_ms = self.interval_s = 0.0
        self.sources = 0


def _variables(printed: dict[str, Any], number: int, interval: float = _INTERVAL_S) -> dict[str, str]:
    settings = _settings(printed, number, interval)
    return {f"SETTING_{name.upper()}": json.dumps(value) for name, value in settings.items() if name != "bus"} | {
        "SETTING_BUS__PATH": printed["bus"]["path"]
    }


def _settings(printed: dict[str, Any], number: int, interval: float) -> dict[str, Any]:
    sensors = printed["sensors"]
    return {**printed, "sensors": [sensors[number % len(sensors)]], "interval": interval}


def _gateway(
    printed: dict[str, Any], count: int, interval: float = _INTERVAL_S, more: dict[str, Any] | None = None
) -> dict[str, str]:
    bridges = {
        f"b{number}": {"service": "register_sensor", "settings": _settings(printed, number, interval)}
        for number in range(count)
    }
    return {"SETTING_BRIDGES": json.dumps(bridges | (more or {})), "PYTHONPATH": str(_SERVICES)}


async def _measured(variables: dict[str, str], seconds: float, module: str = "edge_gateway") -> _Measured:
    found, arrivals = _Measured(), dict[str, list[float]]()
    async with _printing(module, variables) as process:
        assert process.stdout is not None
        readings, used_s, end = 0, 0.0, time.monotonic() + _SETTLE_S + seconds
        begun = False
        while (now := time.monotonic()) < end:
            if not begun and now > end - seconds:
                begun, used_s, readings, arrivals = True, cpu_s(process.pid), 0, {}
            try:
                line = await asyncio.wait_for(process.stdout.readline(), end - now)
            except TimeoutError:
                break
            pack = json.loads(line)["content"]
            base = pack[0].get("bn", "")
            arrivals.setdefault(base, []).append(time.monotonic())
            readings += len(pack)
        found.cpu_ms = 1000 * (cpu_s(process.pid) - used_s) / max(1, readings)
        found.rss = rss_mib(process.pid)
    mine = [times for base, times in arrivals.items() if not base.startswith(("flood", "edge_gateway"))]
    found.sources = len(mine)
    waits = [after - before for times in mine for before, after in itertools.pairwise(times)]
    found.interval_s = statistics.mean(waits or [0.0])
    return found


@asynccontextmanager
async def _printing(module: str, variables: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that prints its messages."""
    process = await asyncio.create_subprocess_exec(
        *(lean_python(), "-m", module),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | variables | {"IOFOG_LINK": "console:"},
        limit=1 << 20,
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()
