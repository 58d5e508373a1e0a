"""Processor time of an edge, from the kernel's event to the service, against gpiozero's callbacks."""

from __future__ import annotations

import os
import time

from gpiozero import DigitalInputDevice
from gpiozero.pins.mock import MockFactory

from device_bridge.buses import GpioLines
from device_bridge.buses.gpio.uapi import EVENT, FALLING, RISING

from .report import Row, at_most

_TOGETHER = 16
"""Edges for each wake-up, as a meter of some kHz has them."""


class _Pipe:
    """Lines whose events come out of a pipe."""

    def __init__(self, event_fd: int) -> None:
        self.event_fd = event_fd

    async def get(self) -> int:
        return 0

    async def set(self, mask: int, bits: int) -> None:
        """Inputs are not set."""

    def set_act(self, mask: int, bits: int) -> tuple[int, int, bytes, bytes]:
        return self.event_fd, 0, b"", b""

    async def close(self) -> None:
        os.close(self.event_fd)


async def rows(quick: bool) -> list[Row]:
    """With a wake-up for every 16 edges, and with one for each."""
    count = 20_000 if quick else 200_000
    theirs = _gpiozero(count // 10)
    table = []
    for together, goal in ((_TOGETHER, 0.2), (1, 1.0)):
        ours = await _ours(count // (1 if together > 1 else 10), together)
        what = f"CPU of an edge, {together} for each wake-up ({ours:.2f} us)"
        table.append(at_most(what, ours / theirs, "x", f"gpiozero DigitalInputDevice {theirs:.2f} us", goal))
    return table


async def _ours(count: int, together: int) -> float:
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    lines = GpioLines("bench", _Pipe(read_fd), (17,))
    sets = []
    for first in range(1, count + 1, together):
        numbers = range(first, first + together)
        sets.append(b"".join(EVENT.pack(n * 1000, RISING if n % 2 else FALLING, 17, n, n) for n in numbers))
    seen = on = 0
    started = time.process_time()
    for data in sets:
        os.write(write_fd, data)
        for _, kind, *_ in await lines.read():
            on += kind == RISING
            seen += 1
    took = time.process_time() - started
    assert seen >= count
    assert not lines.lost
    await lines.close()
    os.close(write_fd)
    return took / seen * 1e6


def _gpiozero(count: int) -> float:
    seen = 0

    def changed() -> None:
        nonlocal seen
        seen += 1

    with MockFactory() as factory, DigitalInputDevice(17, pin_factory=factory) as device:
        device.when_activated = device.when_deactivated = changed
        pin = factory.pin(17)
        started = time.process_time()
        for _ in range(count // 2):
            pin.drive_high()
            pin.drive_low()
        took = time.process_time() - started
    assert seen == count // 2 * 2
    return took / seen * 1e6
