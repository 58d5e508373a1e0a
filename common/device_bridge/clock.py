"""Wall time that never steps backwards within a run."""

from __future__ import annotations

import time


class Clock:
    """Seconds since 1970-01-01 UTC, taken once and carried on by the monotonic clock.

    A step of the system's clock while the service runs would otherwise put later readings before earlier ones.
    """

    def __init__(self) -> None:
        self._offset_s = time.time() - time.monotonic()

    def now(self) -> float:
        """The present wall time."""
        return time.monotonic() + self._offset_s
