"""A sign of life of the event loop, for whoever watches it from outside: a thread, a file, another process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Heartbeat:
    """Calls a function on the event loop at an interval; the calls stop while the loop stands still.

    Parameters:
        beat: is called; must not block.
        interval_s: from one call to the next.
    """

    def __init__(self, beat: Callable[[], None], interval_s: float) -> None:
        self._beat, self._interval_s = beat, interval_s
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins, with a first call at once."""
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self.start)
        self._beat()

    def stop(self) -> None:
        """Ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
