"""GPIO lines of a real kernel: gpio-sim drives them through sysfs, services use /dev/gpiochipN."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from device_bridge import DeviceError, DeviceErrorKind
from device_bridge.buses import GpioBus, GpioLine, GpioSettings, LineConfig
from device_bridge.buses.gpio.uapi import FALLING, RISING
from digital_inputs.service import DigitalInputs

from ..services.serving import bridging, settings_of

BOTH = LineConfig(rising=True, falling=True)
CHIP = next(Path("/sys/devices/platform").glob("gpio-sim.*/gpiochip*"))


def pull(line, level):
    (CHIP / f"sim_gpio{line}" / "pull").write_text("pull-up" if level else "pull-down")


async def edge(line, value):
    """An edge that the kernel has seen: under UML gpio-sim raises interrupts at the next tick, of 10 ms."""
    pull(line, value)
    await asyncio.sleep(0.025)


def level(line):
    return int((CHIP / f"sim_gpio{line}" / "value").read_text())


@contextlib.asynccontextmanager
async def lines_of(*numbers, config=BOTH, events=1024, **line):
    bus = GpioBus(GpioSettings())
    await bus.open()
    lines = await bus.request([GpioLine(line=f"L{n}", **line) for n in numbers], config, events)
    try:
        yield bus, lines
    finally:
        await lines.close()


async def edges(lines, count):
    found = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += [(offset, kind) for _, kind, offset, *_ in await lines.read()]
    return found


async def test_a_line_by_label_and_offset():
    bus = GpioBus(GpioSettings())
    await bus.open()
    chip, offset = bus.find(GpioLine(chip="hil-gpio", line="7"))
    assert (chip.lines[offset], bus.find(GpioLine(line="L7"))[1]) == ("L7", 7)


async def test_levels_and_edges_in_their_order():
    for line in (1, 2):
        pull(line, 0)
    async with lines_of(1, 2) as (_, lines):
        for line, value in ((2, 1), (1, 1), (2, 0)):
            await edge(line, value)
        assert await lines.get() == 0b01
        assert await edges(lines, 3) == [(2, RISING), (1, RISING), (2, FALLING)]
        assert lines.lost == 0


async def test_active_low():
    pull(3, 1)
    async with lines_of(3, active_low=True) as (_, lines):
        assert await lines.get() == 0
        pull(3, 0)
        assert await edges(lines, 1) == [(3, RISING)]


async def test_the_kernels_debouncing():
    pull(4, 0)
    async with lines_of(4, config=BOTH._replace(debounce_us=30_000)) as (_, lines):
        for value in (1, 0, 1, 0, 1):
            pull(4, value)
        assert await edges(lines, 1) == [(4, RISING)]
        pull(4, 0)
        pull(4, 1)
        pull(4, 0)
        assert await edges(lines, 1) == [(4, FALLING)]


async def test_outputs_from_their_first_instant():
    async with lines_of(5, 6, config=LineConfig(output=True, values=0b01)) as (_, lines):
        assert (level(5), level(6)) == (1, 0)
        await lines.set(0b10)
        assert (level(5), level(6), await lines.get()) == (0, 1, 0b10)
        await lines.set(0b01, mask=0b01)
        assert (level(5), level(6)) == (1, 1)


async def test_edges_that_nobody_read_are_counted():
    pull(8, 0)
    async with lines_of(8, events=16) as (_, lines):
        for n in range(40):
            await edge(8, 1 - n % 2)
        batch = await lines.read()
        assert (len(batch), batch.lost) == (16, 24)
        await edge(8, 1)
        batch = await lines.read()
        assert (len(batch), batch.lost) == (1, 0)


async def test_a_line_has_one_user_who_is_named():
    async with lines_of(9) as (bus, _):
        with pytest.raises(DeviceError, match=f"in use by iofog-{os.getpid()}") as caught:
            await bus.request([GpioLine(line="L9")], BOTH)
        assert caught.value.kind is DeviceErrorKind.BUSY


async def test_a_counter_counts_exactly():
    pull(10, 0)
    settings = settings_of(
        DigitalInputs, inputs=[{"kind": "counter", "name": "flow", "line": "L10", "interval": 0.2}]
    )
    async with bridging(DigitalInputs, settings) as bridged:
        await bridged.sample()
        for _ in range(50):
            await edge(10, 1)
            await edge(10, 0)
        found = await bridged.sample(lambda found: found["flow"].value >= 50)
        assert found["flow"].value == 50


@contextlib.asynccontextmanager
async def outputs_process(**members):
    told = {
        "outputs": [{"name": "lamp", "line": "L12"}],
        "inputs": [{"kind": "contact", "name": "door", "line": "L13"}],
        "rules": [{"reading": "door", "output": "lamp", "on_when": True}],
    }
    pull(13, 1)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "digital_outputs"),
        env=os.environ
        | {"IOFOG_LINK": "console:"}
        | {f"SETTING_{name.upper()}": json.dumps(value) for name, value in (told | members).items()},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await until(lambda: level(12) == 1)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_killed_service_leaves_its_outputs_safe():
    async with outputs_process() as process:
        process.send_signal(signal.SIGKILL)
        await until(lambda: level(12) == 0)


async def test_an_orderly_end_leaves_its_outputs_safe():
    async with outputs_process() as process:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert level(12) == 0
