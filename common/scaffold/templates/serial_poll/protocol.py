"""What is said to DEVICE and what it answers, in lines. No I/O.

`level?` is answered by the level in metres, `level=1.234`.
"""

from __future__ import annotations

import re

from device_bridge import Quantity, Sample

LEVEL = Quantity("level", "m", (0, 10), "above the sensor")
QUESTION = b"level?\r\n"
_ANSWER = re.compile(rb"level=(-?\d+\.\d{3})")


def is_level(line: bytes) -> bool:
    """Whether a line answers the question for the level."""
    return _ANSWER.fullmatch(line) is not None


def decode(line: bytes) -> Sample:
    """The sample in an answer."""
    match = _ANSWER.fullmatch(line)
    return [LEVEL.good(float(match[1]))] if match else []


def encode(level_m: float) -> bytes:
    """An answer as the device sends it."""
    return b"level=%.3f\r\n" % level_m
