"""What has been told of, so that it is told once."""

from __future__ import annotations

_MOST = 1000
"""Beyond which nothing is told any more: whoever makes so many topics must not fill the log."""


class Said:
    """Remembers topics, each for one reason, by their hashes: topics can be long."""

    def __init__(self) -> None:
        self._said: set[int] = set()

    def is_new(self, reason: str, topic: str) -> bool:
        """Whether this is to be told; from now on it has been."""
        known = hash((reason, topic))
        if known in self._said or len(self._said) >= _MOST:
            return False
        self._said.add(known)
        return True
