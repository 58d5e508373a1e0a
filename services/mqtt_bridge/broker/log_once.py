"""Log lines that are written once for each reason and topic."""

from __future__ import annotations

_MOST = 1000
"""Beyond that nothing more is logged: a publisher that makes up topics must not fill the log."""


class LogOnce:
    """Remembers pairs of reason and topic by their hashes, as topics can be long."""

    def __init__(self) -> None:
        self._logged: set[int] = set()

    def first_time(self, reason: str, topic: str) -> bool:
        """Whether this pair has not been asked about before, and there is room to remember it."""
        pair = hash((reason, topic))
        if pair in self._logged or len(self._logged) >= _MOST:
            return False
        self._logged.add(pair)
        return True
