"""24 sensors on one I2C bus at 1 Hz: whether each keeps its interval, stalls of the loop, processor time."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

from device_bridge import Quality, Sample
from device_bridge.settings.sources import SettingsSources
from device_bridge.supervision.supervisor import Supervisor
from register_sensor.service import RegisterSensor, RegisterSettings

from .bed import cpu_s, process
from .bridges import lean_python
from .report import Row, at_most

_SENSORS = 24
_INTERVAL_S = 1.0
_TICK_S = 0.002


async def rows(quick: bool) -> list[Row]:
    """Interval, stalls, processor time."""
    seconds = 6 if quick else 20
    emulator = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "register_sensor.emulator", "--profile", "sht31", "--copies", str(_SENSORS)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    assert emulator.stdout is not None
    try:
        settings = json.loads(await emulator.stdout.readline())["settings"]
        strayed, stall_s = await _watched(settings, seconds)
        used_s = await _service(settings, seconds)
        bare_s = await _bare(settings, seconds)
    finally:
        emulator.terminate()
        await emulator.wait()
    sensors = f"{_SENSORS} I2C sensors at 1 Hz"
    return [
        at_most(f"{sensors}, stray from interval, p95", strayed, "x", f"its own {_INTERVAL_S:g} s", 0.05),
        at_most(f"{sensors}, longest stall of the loop", stall_s * 1000, "ms", "a tick every 2 ms", 20),
        at_most(
            f"CPU of {sensors} ({used_s / seconds:.1%} of a core)",
            used_s / bare_s,
            "x",
            f"a bare loop that blocks {bare_s / seconds:.1%}",
            8,
        ),
    ]


async def _watched(settings: dict[str, Any], seconds: float) -> tuple[float, float]:
    """In this process: how far the sensors stray from their interval, p95, and how long the loop once stood still."""
    arrivals: dict[str, list[float]] = {}

    def take(sample: Sample) -> None:
        assert sample[0].quality is Quality.GOOD
        arrivals.setdefault(sample[0].name, []).append(time.monotonic())

    async def room() -> None:
        return None

    sources = SettingsSources(RegisterSettings, file=None, environment={})
    bridge = Supervisor(RegisterSensor, sources.resolve(json.dumps(settings)), take, room)
    running = asyncio.ensure_future(bridge.run())
    await asyncio.sleep(3 * _INTERVAL_S)  # all at once at first, in turns then
    stall_s, end = 0.0, time.monotonic() + seconds
    while (before := time.monotonic()) < end:
        await asyncio.sleep(_TICK_S)
        stall_s = max(stall_s, time.monotonic() - before - _TICK_S)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(arrivals) == _SENSORS
    waits = [after - before for times in arrivals.values() for before, after in itertools.pairwise(times[2:])]
    strayed = sorted(abs(wait - _INTERVAL_S) / _INTERVAL_S for wait in waits)
    return strayed[int(len(strayed) * 0.95)], stall_s


async def _service(settings: dict[str, Any], seconds: float) -> float:
    """Processor seconds of the service as a process of its own, at rest after its start."""
    variables = {f"SETTING_{name.upper()}": json.dumps(value) for name, value in settings.items() if name != "bus"}
    variables |= {"IOFOG_LINK": "console:", "SETTING_BUS__PATH": settings["bus"]["path"]}
    async with process(lean_python(), "-m", "register_sensor", variables=variables) as service:
        await asyncio.sleep(3 * _INTERVAL_S)
        start = cpu_s(service.pid)
        await asyncio.sleep(seconds)
        return cpu_s(service.pid) - start


async def _bare(settings: dict[str, Any], seconds: float) -> float:
    poller = await asyncio.create_subprocess_exec(
        *(lean_python(), str(Path(__file__).with_name("i2c_poller.py")), json.dumps(settings), str(seconds)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert poller.stdout is not None
    assert await poller.stdout.readline() == b"ready\n"
    return float(await poller.stdout.readline())
