"""Messages waiting in memory: in order, bounded, accounted for.

At any moment `read = delivered + buffered + dropped`, counted in readings.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import Callable

from ..clocks import Clocks
from ..service_settings import OutboxSettings
from .account import Account
from .entry import OVERHEAD_BYTES, Entry, size_of

FULL, TOO_LARGE = "outbox full", "larger than the outbox"
"""Why messages are dropped here."""


class Backlog:
    """A queue whose head stays until the node has taken it.

    From the oldest to the newest, entries are sent (waiting for their receipts) or ready (to be sent next).

    Parameters:
        settings: bounds, and the overflow policy.
        clocks: to tell how long messages have waited.
    """

    def __init__(self, settings: OutboxSettings, clocks: Clocks | None = None) -> None:
        self.settings = settings
        self._clocks = clocks or Clocks()
        self.read = 0
        """Readings put in, found from an earlier run, or dropped on the way in."""
        self.delivered = 0
        """Readings the node has given a receipt for."""
        self.dropped: Counter[str] = Counter()
        """Readings dropped, by reason."""
        self.buffered = 0
        """Readings waiting, sent or not."""
        self.accounts: dict[str, Account] = {}
        """The same by stream, for those that have one."""
        self._sent: deque[Entry] = deque()
        self._ready: deque[Entry] = deque()
        self._to_notify: deque[tuple[int, Callable[[], None]]] = deque()
        self.set_aside: list[Entry] = []
        """Messages that are not taken for now."""
        self._number = 0
        self._messages = self._bytes = self._memory_bytes = 0
        self._filled, self._room, self._emptied = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._room.set()

    def configure(self, settings: OutboxSettings) -> None:
        """Other bounds and another overflow policy, from now on."""
        self.settings = settings
        if settings.on_full == "pause_reading" and self._is_full(0):
            self._room.clear()
        else:
            self._room.set()

    def put(self, body: bytes, readings: int, clock: str = "", stream: str = "") -> None:
        """Takes one message. When there is no room, messages are dropped as the settings say.

        Parameters:
            body: the binary ioMessage.
            readings: how many readings it holds.
            clock: the clock's mark; "" when the times in the body are right.
            stream: whose it is, where several share the outbox.
        """
        size = len(body) + OVERHEAD_BYTES
        if size > self.settings.max_bytes:  # making room for it would drop all the others
            self.refuse(readings, TOO_LARGE, stream)
            return
        if not self._make_room(size):
            self.refuse(readings, FULL, stream)
            return
        self.read += readings
        self._number += 1
        self.buffered += readings
        if stream:
            self.accounts[stream].put(readings, size)
        self._messages += 1
        self._bytes += size
        self._memory_bytes += size
        entry = Entry(self._number, body, readings, self._clocks.since_boot(), clock, stream=stream)
        self._admit(entry, size)
        if self.settings.on_full == "pause_reading" and self._is_full(0):
            self._room.clear()

    def refuse(self, readings: int, reason: str, stream: str = "") -> None:
        """Counts readings that do not come to wait here, for this reason."""
        self.read += readings
        self.dropped[reason] += readings
        if stream:
            self.accounts[stream].refuse(readings, reason)

    def take(self) -> Entry | None:
        """The next unsent message, from now on counted as sent."""
        if not self._ready:
            self._filled.clear()
            return None
        entry = self._ready.popleft()
        self._sent.append(entry)
        return entry

    def acknowledge(self, refused: str = "") -> None:
        """The oldest message sent has its receipt; or it never can have one, for this reason.

        Without a message sent, as in a receipt that comes while the outbox is being closed, nothing happens.
        """
        if not self._sent:
            return
        self._end(self._sent.popleft(), refused)

    def rewind(self) -> None:
        """Nothing that was sent has a receipt coming: all of it is unsent again, in its old order."""
        self._ready.extendleft(reversed(self._sent))
        self._sent.clear()
        if self._ready:
            self._filled.set()

    def put_aside(self, count: int) -> None:
        """So many of the next messages are not taken for now, if there is another one behind them."""
        if len(self._ready) > count:
            self.set_aside = [self._ready.popleft() for _ in range(count)]

    def take_back(self) -> None:
        """The messages that were put aside are the next ones again."""
        self._ready.extendleft(reversed(self.set_aside))
        self.set_aside = []
        if self._ready:
            self._filled.set()

    def give_up_aside(self, reason: str) -> None:
        """The messages that were put aside are dropped for this reason."""
        entries, self.set_aside = self.set_aside, []
        for entry in entries:
            self._end(entry, reason)

    def when_written(self, done: Callable[[], None]) -> None:
        """Calls `done` once everything put in so far is on disk, or need not be.

        Callbacks are called in the order they were given, at once where nothing is to be on disk.
        """
        self._to_notify.append((self._number, done))
        self._notify_written()

    async def wait_written(self) -> None:
        """Returns when `when_written` would call."""
        written = asyncio.Event()
        self.when_written(written.set)
        await written.wait()

    async def wait_unsent(self) -> None:
        """Returns when there is something to send."""
        await self._filled.wait()

    def has_room(self) -> bool:
        """Whether the next sample may be read now."""
        return self._room.is_set()

    async def wait_room(self) -> None:
        """Returns when the next sample may be read: waits while a full outbox is to `pause_reading`."""
        await self._room.wait()

    async def wait_empty(self) -> None:
        """Returns when everything has been delivered or dropped."""
        while not self.is_empty:
            self._emptied.clear()
            await self._emptied.wait()

    @property
    def is_empty(self) -> bool:
        """Whether everything has been delivered."""
        return not self._messages

    @property
    def bytes_in_memory(self) -> int:
        """Estimated memory of the entries."""
        return self._memory_bytes

    def oldest_age_s(self) -> float:
        """Seconds the oldest message has waited; 0 when none does."""
        oldest = next(itertools.chain(self._sent, self._ready), None)
        return max(0.0, self._clocks.since_boot() - oldest.since) if oldest else 0.0

    def _safe_to(self) -> int:
        """The last number that need not be written any more."""
        return self._number

    def _notify_written(self) -> None:
        while self._to_notify and self._to_notify[0][0] <= self._safe_to():
            self._to_notify.popleft()[1]()

    def _admit(self, entry: Entry, size: int) -> None:
        self._append_ready(entry)

    def _append_ready(self, entry: Entry) -> None:
        self._ready.append(entry)
        self._filled.set()

    def _end(self, entry: Entry, dropped: str = "") -> None:
        """A message has been delivered, or is dropped for this reason."""
        if dropped:
            self.dropped[dropped] += entry.readings
        else:
            self.delivered += entry.readings
        if entry.stream:
            self.accounts[entry.stream].end(entry.readings, size_of(entry), dropped)
        self._remove(entry)

    def _remove(self, entry: Entry) -> None:
        size = len(entry.body) + OVERHEAD_BYTES
        self._messages -= 1
        self._bytes -= size
        self._memory_bytes -= size
        self.buffered -= entry.readings
        if not self._messages:
            self._emptied.set()
        if not self._room.is_set() and not self._is_full(0):
            self._room.set()

    def _is_full(self, size: int) -> bool:
        """Whether there is no room for one more message of this size; for size 0, whether the bounds are reached."""
        return self._messages >= self.settings.max_messages or self._bytes + size > self.settings.max_bytes

    @property
    def capacity(self) -> int:
        """Bytes that can wait now."""
        return self.settings.max_bytes

    def is_full_for(self, size: int) -> bool:
        """Whether a message of so many bytes would make others go."""
        return self._is_full(size)

    def _is_overfull(self) -> bool:
        """Whether more is held than the bounds allow, as after a change of settings."""
        return self._messages > self.settings.max_messages or self._bytes > self.settings.max_bytes

    def _make_room(self, size: int) -> bool:
        while self._is_full(size):
            if self.settings.on_full == "pause_reading":
                return True  # the one sample that was already read
            if self.settings.on_full == "drop_newest":
                return False
            if not self._ready:
                return self._may_overflow(size)
            self._drop_oldest()
        return True

    def _drop_oldest(self) -> Entry:
        oldest = self._ready.popleft()
        self._end(oldest, FULL)
        return oldest

    def _may_overflow(self, size: int) -> bool:
        """Whether one more is taken although the oldest cannot be dropped: here, all of them are in flight."""
        return False
