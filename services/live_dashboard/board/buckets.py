"""Readings gathered in buckets of ten seconds, for charts: what goes to the history."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from device_bridge import Quality, Reading

STEP_S = 10
QUALITIES = (Quality.GOOD, Quality.UNCERTAIN, Quality.STALE, Quality.BAD)
"""From best to worst; their places are how frames and the history write them."""
RANK = {quality: rank for rank, quality in enumerate(QUALITIES)}
_USABLE = RANK[Quality.UNCERTAIN]
_MAX_WAITING = 200_000


def rank_of(quality: Quality) -> int:
    """The rank of a quality; nearly all are good, and an enumeration is slow to look up."""
    return 0 if quality is Quality.GOOD else RANK[quality]


class BucketKey(NamedTuple):
    """Which interval of which quantity.

    Parameters:
        quantity: its id.
        start: seconds since 1970, a multiple of the step.
    """

    quantity: int
    start: int


class Bucket:
    """Values of one interval: good and uncertain ones are summed up, others only mark it.

    Parameters:
        count: of values.
        total, low, high: their sum, least and greatest.
        worst: rank of the worst quality, of any reading.
    """

    __slots__ = ("count", "high", "low", "total", "worst")

    def __init__(self) -> None:
        self.count, self.worst = 0, 0
        self.total = self.low = self.high = 0.0

    def add(self, value: float | None, rank: int) -> None:
        """One reading."""
        self.worst = max(self.worst, rank)
        if value is None or rank > _USABLE:
            return
        if not self.count:
            self.low = self.high = value
        elif value < self.low:
            self.low = value
        elif value > self.high:
            self.high = value
        self.total += value
        self.count += 1


class Buckets:
    """Stretches that are being filled, of all quantities."""

    def __init__(self) -> None:
        self._filling: defaultdict[int, dict[int, Bucket]] = defaultdict(dict)
        self._count = 0
        self.dropped = 0
        """Readings left out because the history was not written for too long."""

    def add(self, quantity: int, reading: Reading) -> None:
        """One reading; text is left out, states count as 1 and 0."""
        value = reading.value
        if isinstance(value, str):
            return
        start = int(reading.time) // STEP_S * STEP_S
        stretches = self._filling[quantity]
        bucket = stretches.get(start)
        if bucket is None:
            if self._count >= _MAX_WAITING:
                self.dropped += 1
                return
            bucket = stretches[start] = Bucket()
            self._count += 1
        bucket.add(None if value is None else float(value), rank_of(reading.quality))

    def take(self) -> dict[BucketKey, Bucket]:
        """All of them, for writing: one that is not over yet is merged with its rest later."""
        filling, self._filling, self._count = self._filling, defaultdict(dict), 0
        return {
            BucketKey(quantity, start): bucket
            for quantity, stretches in filling.items()
            for start, bucket in stretches.items()
        }

    def of(self, quantity: int, start: float, end: float) -> dict[int, Bucket]:
        """Those of one quantity between these times that have not been taken, by their start."""
        stretches = self._filling.get(quantity, {})
        return {at: bucket for at, bucket in stretches.items() if start <= at < end}
