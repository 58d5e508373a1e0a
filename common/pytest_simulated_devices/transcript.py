"""What was said on buses and sent to the node during one test, for the report of its failure."""

from __future__ import annotations

import asyncio
import time
from collections import deque

MAX_LINES = 200
_MAX_BYTES = 40


class Transcript:
    """The latest lines of a test, each with its time in seconds since the first, on the test's clock."""

    def __init__(self) -> None:
        self._lines: deque[tuple[float, str, str]] = deque(maxlen=MAX_LINES)
        self._began_at: float | None = None
        self._left_out = 0

    def note(self, who: str, what: str) -> None:
        """Adds a line.

        Parameters:
            who: the fixture that it is about.
            what: happened.
        """
        now = _now()
        if self._began_at is None:
            self._began_at = now
        self._left_out += len(self._lines) == MAX_LINES
        self._lines.append((now - self._began_at, who, what))

    def note_bytes(self, who: str, direction: str, data: bytes) -> None:
        """Adds a line with bytes: printable ones as text, others escaped, a long line cut."""
        more = f" … ({len(data)} bytes)" if len(data) > _MAX_BYTES else ""
        self.note(who, f"{direction} {data[:_MAX_BYTES]!r}{more}")

    def text(self) -> str:
        """All lines; empty when nothing was noted."""
        first = [f"({self._left_out} earlier lines are left out)"] if self._left_out else []
        return "\n".join([*first, *(f"{at:10.3f}  {who:15}  {what}" for at, who, what in self._lines)])


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
