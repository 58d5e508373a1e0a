"""Reports states when they change, and all of them from time to time. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..reading import Reading


class ChangeReporter:
    """Which readings to send.

    Parameters:
        interval_s: after which all are sent again, changed or not.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._sent: dict[str, Reading] = {}
        self._all_at = float("-inf")

    def select(self, readings: Sequence[Reading], now: float) -> list[Reading]:
        """Readings that differ from those sent last, or all of them when it is time.

        Parameters:
            readings: the present states.
            now: seconds of a clock that never steps.
        """
        if now >= self._all_at:
            self._all_at = now + self._interval_s
            selected = list(readings)
        else:
            selected = [reading for reading in readings if self._sent.get(reading.name) != reading]
        self._sent.update((reading.name, reading) for reading in selected)
        return selected

    def forget(self, names: Iterable[str]) -> None:
        """Has these sent the next time, as whatever: they may have changed and changed back."""
        for name in names:
            self._sent.pop(name, None)

    def seconds_left(self, now: float) -> float:
        """Until all are sent again."""
        return max(0.0, self._all_at - now)
