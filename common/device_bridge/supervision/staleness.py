"""When the last value of a quantity is too old to pass for the present one. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..declared import MAX_NAMES
from ..reading import Quality, Reading

_SHORTEST_S = 0.001
_IDLE_S = 60.0


class Staleness:
    """The last reading of each quantity, and which of them have become stale: each by itself.

    Times are seconds of a clock that never steps.
    """

    def __init__(self) -> None:
        self.after_s = 0.0
        """Seconds without a reading after which a quantity is stale; 0 for never."""
        self._latest: dict[str, tuple[float, Reading]] = {}
        self._heard_at = 0.0

    def restart(self, now: float) -> None:
        """The device has been opened, or is watched from now on."""
        self._latest.clear()
        self._heard_at = now

    def forget(self) -> None:
        """The device has failed: there is nothing that could become stale."""
        self._latest.clear()

    def heard(self, now: float, sample: Sequence[Reading]) -> None:
        """Readings have come."""
        self._heard_at = now
        for reading in sample:
            if reading.value is None:
                self._latest.pop(reading.name, None)
            elif reading.name in self._latest or len(self._latest) < MAX_NAMES:
                self._latest[reading.name] = (now, reading)

    def held_back(self, began: float, now: float) -> None:
        """Nothing was read meanwhile, as there was no room: that is not the device's silence."""
        if (held_s := now - began) > _SHORTEST_S:
            self._heard_at += held_s
            self._latest = {name: (at + held_s, reading) for name, (at, reading) in self._latest.items()}

    def is_silent(self, now: float) -> bool:
        """Whether nothing at all has come for that long."""
        return bool(self.after_s) and now - self._heard_at >= self.after_s

    def newly_stale(self, now: float) -> list[Reading]:
        """Quantities that have become stale since the last call, with their last value."""
        if not self.after_s:
            return []
        names = [name for name, (at, _) in self._latest.items() if now - at >= self.after_s]
        reason = f"no reading for {self.after_s:g} s"
        return [
            msgspec.structs.replace(self._latest.pop(name)[1], quality=Quality.STALE, reason=reason, time=0.0)
            for name in names
        ]

    def next_check_s(self, now: float) -> float:
        """Seconds until something may have become stale."""
        if not self.after_s:
            return _IDLE_S
        oldest = min([self._heard_at, *(at for at, _ in self._latest.values())])
        left_s = oldest + self.after_s - now
        return max(left_s if left_s > 0 else self.after_s / 4, _SHORTEST_S)
