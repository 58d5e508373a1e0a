"""What emulated instruments have in common."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from device_bridge.protocols import Checksum

MOST_UNREAD = 4096


class Device:
    """What the emulated devices have in common: physical values that drift until they are fixed.

    Parameters:
        clock: seconds, for the drift.
    """

    interval_s = 1.0
    limits: dict[str, tuple[float, float]] = {}
    """Quantities that can be set, with the range of the device."""
    drift: dict[str, tuple[float, float]] = {}
    """Middle and swing of each quantity that is not fixed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._fixed: dict[str, float] = {}
        self._unread = b""

    def set(self, quantity: str, value: float | str) -> None:
        if quantity not in self.limits:
            raise KeyError(f"{quantity} (one of {', '.join(self.limits)} can be set)")
        low, high = self.limits[quantity]
        if isinstance(value, str) or not low <= value <= high:
            raise ValueError(f"{quantity} cannot be {value}: from {low:g} to {high:g}")
        self._fixed[quantity] = value

    def value(self, quantity: str) -> float:
        """What it measures now, in the unit of the quantity."""
        middle, swing = self.drift.get(quantity, (0.0, 0.0))
        return self._fixed.get(quantity, middle + swing * math.sin(self._clock() / 20))

    def tick(self) -> list[bytes]:
        return []

    def receive(self, data: bytes) -> list[bytes]:
        self._unread = (self._unread + data)[-MOST_UNREAD:]
        return []

    def lines(self, data: bytes) -> list[str]:
        *lines, self._unread = (self._unread + data)[-MOST_UNREAD:].split(b"\n")
        return [line.decode(errors="replace").strip() for line in lines]

    def commands(self, data: bytes, start: bytes, length: int, checksum: Checksum) -> list[bytes]:
        """Binary commands of one length, without their checksum; wrong ones are passed over."""
        buffer, found = (self._unread + data)[-MOST_UNREAD:], []
        while (at := buffer.find(start)) >= 0 and len(buffer) - at >= length:
            command = checksum.strip(buffer[at : at + length])
            buffer = buffer[at + (length if command else 1) :]
            if command:
                found.append(command)
        self._unread = buffer
        return found
