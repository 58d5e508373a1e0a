"""Debouncing: lines count as changed when they have stayed changed. No I/O."""

from __future__ import annotations

import math


class Debounce:
    """Levels of lines, a bit each, as they have settled.

    Parameters:
        levels: at first.
        settle_s: how long a line has to stay as it is; 0 takes every change.
    """

    def __init__(self, levels: int, settle_s: float) -> None:
        self.levels = self.seen = levels
        """Settled, and as last seen."""
        self._settle_s = settle_s
        self._changed_at: dict[int, float] = {}

    def update(self, levels: int, now: float) -> int:
        """The settled levels after the lines were read at `now`, in seconds; call it regularly, changed or not."""
        self._settle(now)  # what was seen before lasted until now
        changed = levels ^ self.seen
        self.seen = levels
        while changed:
            bit = changed & -changed
            changed ^= bit
            self._changed_at[bit] = now
        self._settle(now)
        return self.levels

    @property
    def settles_at(self) -> float:
        """When the next line settles if nothing changes until then; infinity when all have settled."""
        return min(self._changed_at.values(), default=math.inf) + self._settle_s

    def _settle(self, now: float) -> None:
        for bit, changed_at in list(self._changed_at.items()):
            if now - changed_at >= self._settle_s:
                del self._changed_at[bit]
                self.levels = self.levels & ~bit | self.seen & bit
