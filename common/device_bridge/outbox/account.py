"""What became of the readings of one stream in an outbox that several share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping


class Account:
    """At any moment `read = delivered + buffered + dropped`, as of the whole outbox."""

    def __init__(self) -> None:
        self.read = self.delivered = self.buffered = self.recovered = 0
        self.dropped: Counter[str] = Counter()
        self.size = 0
        """Bytes that wait."""
        self.on_less: Callable[[], None] = lambda: None
        """Called when less waits."""

    def put(self, readings: int, size: int) -> None:
        """A message waits."""
        self.read += readings
        self.buffered += readings
        self.size += size

    def refuse(self, readings: int, reason: str) -> None:
        """Readings have not come to wait, for this reason."""
        self.read += readings
        self.dropped[reason] += readings

    def recover(self, readings: int, size: int) -> None:
        """Messages of an earlier run wait."""
        self.recovered += readings
        self.put(readings, size)

    def end(self, readings: int, size: int, dropped: str = "") -> None:
        """Messages wait no more: they were delivered, or dropped for this reason."""
        if dropped:
            self.dropped[dropped] += readings
        else:
            self.delivered += readings
        self.buffered -= readings
        self.size -= size
        self.on_less()


def settle(accounts: Mapping[str, Account], held: Iterable[tuple[str, int, int]], reason: str) -> None:
    """Whose the messages were that cannot be read shows once all others are known: they are what an account misses.

    Parameters:
        accounts: by stream.
        held: stream, readings and bytes of each message that waits.
        reason: why the others are dropped.
    """
    waiting = {stream: [0, 0] for stream in accounts}
    for stream, readings, size in held:
        if stream:
            waiting[stream][0] += readings
            waiting[stream][1] += size
    for stream, account in accounts.items():
        readings, size = account.buffered - waiting[stream][0], account.size - waiting[stream][1]
        if readings or size:
            account.end(readings, size, reason)
