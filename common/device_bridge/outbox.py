"""Messages between device and node: in order, bounded, accounted for.

At any moment `read = delivered + buffered + dropped`, counted in readings.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque

import msgspec

from .settings import OutboxSettings


class Entry(msgspec.Struct, gc=False):
    """One encoded message and how many readings it holds."""

    body: bytes
    readings: int
    put_at: float
    """Monotonic seconds."""


_OVERHEAD_BYTES = 200
"""What an entry costs in memory beside its body: two Python objects and a place in a deque."""


class Outbox:
    """A queue whose head stays until the node has taken it.

    The head part has been sent and waits for receipts, in the order of sending; the rest is unsent.

    Parameters:
        settings: bounds, and what to give up when they are reached.
    """

    def __init__(self, settings: OutboxSettings) -> None:
        self.settings = settings
        self.read = 0
        """Readings put in, or dropped on the way in."""
        self.delivered = 0
        """Readings the node has given a receipt for."""
        self.dropped: Counter[str] = Counter()
        """Readings given up, by reason."""
        self.buffered = 0
        """Readings waiting, sent or not."""
        self._sent: deque[Entry] = deque()
        self._unsent: deque[Entry] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()

    def put(self, body: bytes, readings: int) -> None:
        """Takes one message. When there is no room, one message is given up as the settings say."""
        self.read += readings
        size = len(body) + _OVERHEAD_BYTES
        while self._bytes + size > self.settings.max_bytes:
            if self.settings.on_full == "drop_newest" or not self._unsent:
                self.dropped["outbox full"] += readings
                return
            oldest = self._unsent.popleft()
            self._forget(oldest)
            self.dropped["outbox full"] += oldest.readings
        self._unsent.append(Entry(body, readings, time.monotonic()))
        self._bytes += size
        self.buffered += readings
        self._filled.set()

    def refuse(self, readings: int, reason: str) -> None:
        """Counts readings that could not become a message."""
        self.read += readings
        self.dropped[reason] += readings

    def take(self) -> Entry | None:
        """The next unsent message, from now on counted as sent."""
        if not self._unsent:
            self._filled.clear()
            return None
        entry = self._unsent.popleft()
        self._sent.append(entry)
        return entry

    def acknowledge(self) -> None:
        """The oldest message sent has its receipt."""
        entry = self._sent.popleft()
        self._forget(entry)
        self.delivered += entry.readings

    def rewind(self) -> None:
        """Nothing that was sent has a receipt coming: all of it is unsent again, in its old order."""
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()
        if self._unsent:
            self._filled.set()

    async def wait_unsent(self) -> None:
        """Returns when there is something to send."""
        await self._filled.wait()

    @property
    def is_empty(self) -> bool:
        """Whether everything has been delivered."""
        return not self._sent and not self._unsent

    def oldest_age_s(self) -> float:
        """Seconds the oldest message has waited; 0 when none does."""
        oldest = self._sent[0] if self._sent else self._unsent[0] if self._unsent else None
        return time.monotonic() - oldest.put_at if oldest else 0.0

    def _forget(self, entry: Entry) -> None:
        self._bytes -= len(entry.body) + _OVERHEAD_BYTES
        self.buffered -= entry.readings
