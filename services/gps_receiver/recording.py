"""A recording of a receiver, played again with its own timing. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BITS_PER_BYTE = 10  # a start bit, eight data bits, a stop bit
_TIME_FIELD = re.compile(rb"\$..(?:GGA|GNS|RMC),(\d{2})(\d{2})(\d{2}(?:\.\d+)?),")


def replay(recording: bytes, speed: float = 1.0, baud: int = 9600) -> Iterator[tuple[float, bytes]]:
    """A recording with its own timing: seconds to wait, then the bytes to send, every byte of it.

    Lines wait for the receiver's own clock (the time field of GGA, GNS and RMC); a recording without one is paced by
    the baud rate.

    Parameters:
        recording: the bytes as a receiver sent them.
        speed: above 0; 1 for as recorded, 100 for a hundred times as fast.
        baud: bits per second, for a recording without times.
    """
    last: float | None = None
    timed = _TIME_FIELD.search(recording) is not None
    for line in recording.splitlines(keepends=True):
        delay_s = 0.0
        match = _TIME_FIELD.search(line)
        if match:
            now = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
            gone_s = (now - last) % 86_400 if last is not None else 0.0
            delay_s = gone_s if gone_s <= 43_200 else 0.0  # more than half a day: a clock that went back
            last = now
        elif not timed:
            delay_s = len(line) * _BITS_PER_BYTE / baud
        yield delay_s / speed, line
