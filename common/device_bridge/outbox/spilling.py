"""A backlog that decides which entries have to go to disk, and when.

From the oldest to the newest, entries are sent, ready, unloaded (on disk only) and fresh (behind what is unloaded, or
not to be sent before they are on disk). While the link keeps up nothing but `ready` is used, and the disk is left
alone, unless `durability` asks for it always.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator
from typing import Any

from ..clocks import Clocks
from ..service_settings import OutboxSettings
from .disk_jobs import DiskTask
from .entry import Entry, size_of
from .memory import Backlog
from .storage.recovery import Recovery

GROUP = 1000
"""Messages written in one commit at most, so that one commit never takes long."""
PAGE = 256
"""Messages loaded from disk at once."""
FLUSH_AFTER_S = 0.5
FLUSH_AFTER = 256
"""Receipts reach the disk with the next commit, or after this time or number: what a crash sends again at most."""
_DONE_SHARE = 32
"""Of `max_bytes`: what was dropped gives its space back when it is so much, or after some seconds."""
NO_DISK_BYTES = 8 * 1024 * 1024
"""Most memory used while entries should be on disk and cannot be: some ten minutes of a busy device."""
EVERYTHING = 1 << 62


class SpillingBacklog(Backlog):
    """What decides which entries are to be on disk.

    Parameters:
        settings: bounds, durability, and the overflow policy.
        clocks: to tell how long messages have waited, also over restarts.
    """

    def __init__(self, settings: OutboxSettings, clocks: Clocks | None = None) -> None:
        super().__init__(settings, clocks)
        self.problem = ""
        """Why the disk cannot be used; "" while it can, or need not."""
        self._disk: DiskTask | None = None
        self._fresh: deque[Entry] = deque()
        self._unloaded = 0
        self._loaded_to = self._written_to = self._writing_to = 0
        self._acknowledged = self._flushed_to = 0
        self._oldest_on_disk = 0.0
        self._done: list[tuple[int, int]] = []
        self._done_bytes = self._unflushed = 0
        self._flush_due = False
        self._write_to = EVERYTHING if settings.durability == "always" else 0
        self._unwritten_bytes = 0
        self._is_open = self._is_closing = False
        self._found: Recovery | None = None
        self._is_unsettled = False
        self._check_at = 0.0
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def spill(self) -> None:
        """Writes to disk what waits now."""
        self._write_to = max(self._write_to, self._number)
        self._wake()

    def _admit(self, entry: Entry, size: int) -> None:
        settings, disk = self.settings, self._disk
        if disk is None:
            self._append_ready(entry)
            return
        self._unwritten_bytes += size
        is_always = self._write_to == EVERYTHING and not self.problem
        if self._unloaded or self._found or is_always or self._memory_bytes > settings.memory_bytes:
            self._fresh.append(entry)
            if not is_always and not self._unloaded:
                self._filled.set()
            if self._memory_bytes > 2 * settings.memory_bytes and not self.problem:
                self._room.clear()  # the device sends faster than the disk writes: let the disk catch up
        else:
            self._append_ready(entry)
        if is_always:
            disk.wake()
        elif self._unwritten_bytes > settings.memory_bytes:
            self.spill()
        elif "spill" not in self._timers:
            self._start_timer("spill", settings.spill_after, self._spill_old)

    def _append_ready(self, entry: Entry) -> None:
        super()._append_ready(entry)
        self._loaded_to = entry.number

    def _remove(self, entry: Entry) -> None:
        super()._remove(entry)
        if entry.number > self._written_to and self._disk is not None:
            self._unwritten_bytes -= size_of(entry)

    def _is_full(self, size: int) -> bool:
        return super()._is_full(size) or (self._lacks_disk and self._memory_bytes + size > NO_DISK_BYTES)

    @property
    def _lacks_disk(self) -> bool:
        return bool(self.problem) or (self._disk is None and self.settings.durability != "memory")

    @property
    def capacity(self) -> int:
        return min(super().capacity, NO_DISK_BYTES) if self._lacks_disk else super().capacity

    def _drop_oldest(self) -> Entry:
        oldest = super()._drop_oldest()
        if oldest.number <= max(self._written_to, self._writing_to):
            number = oldest.number
            if self._done and self._done[-1][1] == number - 1:
                self._done[-1] = (self._done[-1][0], number)
            else:
                self._done.append((number, number))
            self._done_bytes += size_of(oldest)
            if self._done_bytes > self.settings.max_bytes // _DONE_SHARE:
                self._flush()
            self._start_timer("done", max(self.settings.spill_after, FLUSH_AFTER_S), self._flush)
        if self._needs_load():
            self._wake()
        return oldest

    def _may_overflow(self, size: int) -> bool:
        """The oldest may be on disk, and has to be loaded to be dropped; until then one group more is taken."""
        while self._fresh and not self._unloaded and self._found is None and self._is_full(size):
            self._append_ready(self._fresh.popleft())
            self._drop_oldest()
        self._wake()
        return not self._is_full(size) or (bool(self._unloaded) and len(self._fresh) < GROUP)

    def _safe_to(self) -> int:
        is_always = self._disk is not None and self.settings.durability == "always"
        return max(self._written_to, self._acknowledged) if is_always else super()._safe_to()

    def _unwritten(self) -> Iterator[Entry]:
        return (entry for entry in self._held() if entry.number > self._written_to)

    def _held(self) -> Iterator[Entry]:
        """What is in memory, the oldest first."""
        return itertools.chain(self.set_aside, self._sent, self._ready, self._fresh)

    def _wake(self) -> None:
        if self._disk is not None:
            self._disk.wake()

    def _start_timer(self, name: str, seconds: float, act: Any) -> None:
        if name not in self._timers:
            self._timers[name] = asyncio.get_running_loop().call_later(seconds, self._end_timer, name, act)

    def _end_timer(self, name: str, act: Any) -> None:
        del self._timers[name]
        act()

    def _flush(self) -> None:
        self._flush_due = True
        self._wake()

    def _spill_old(self) -> None:
        oldest = next(self._unwritten(), None)
        if oldest is None:
            return
        left_s = self.settings.spill_after - (self._clocks.since_boot() - oldest.since)
        if left_s <= 0:
            self.spill()
        else:
            self._start_timer("spill", left_s, self._spill_old)

    def _done_to(self) -> int:
        """Up to which number nothing is left to be delivered."""
        return self._acknowledged if self._messages else self._number

    def _needs_load(self) -> bool:
        if not self._unloaded or len(self._ready) >= PAGE // 2:
            return False
        return not self._ready or self._memory_bytes < self.settings.memory_bytes // 2
