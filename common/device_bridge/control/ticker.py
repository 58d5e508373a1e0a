"""A steady schedule."""

from __future__ import annotations

import asyncio
import math

_SHORTEST_S = 0.001


class Ticker:
    """Moments at a steady interval, from now on; how long the work between them takes does not shift them.

    A moment that has been missed is left out.

    Parameters:
        interval_s: from one moment to the next.
    """

    def __init__(self, interval_s: float) -> None:
        self.interval_s = max(interval_s, _SHORTEST_S)
        self._due = asyncio.get_running_loop().time()

    def advance(self, delay_s: float = 0.0) -> float:
        """Goes on to the next moment; returns the seconds until then.

        Parameters:
            delay_s: moves this moment and all that follow.
        """
        now = asyncio.get_running_loop().time()
        missed = max(0, math.floor((now - self._due) / self.interval_s))
        self._due += self.interval_s * (1 + missed) + delay_s
        return self._due - now

    async def wait(self, delay_s: float = 0.0) -> None:
        """Sleeps until the next moment."""
        await asyncio.sleep(self.advance(delay_s))

    def restart(self) -> None:
        """Begins the schedule again now."""
        self._due = asyncio.get_running_loop().time()
