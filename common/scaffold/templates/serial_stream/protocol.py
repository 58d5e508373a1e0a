"""What DEVICE sends. No I/O.

A line for each measurement, the level in metres: `level=1.234`.
"""

from __future__ import annotations

import re

from device_bridge import Quantity, Sample
from device_bridge.protocols import LineFraming, framer_for

LEVEL = Quantity("level", "m", (0, 10), "above the sensor")
_LINE = re.compile(rb"level=(-?\d+\.\d{3})")


class Decoder:
    """Makes samples of bytes."""

    def __init__(self) -> None:
        self._framer = framer_for(LineFraming())
        self.malformed = 0

    def feed(self, data: bytes) -> list[Sample]:
        """The samples that these bytes complete."""
        found = [_LINE.fullmatch(line) for line in self._framer.feed(data)]
        self.malformed += found.count(None)
        return [[LEVEL.good(float(match[1]))] for match in found if match]


def encode(level_m: float) -> bytes:
    """A line as the device sends it."""
    return b"level=%.3f\r\n" % level_m
