"""A backlog whose entries go to disk when they have to wait, and come back from there.

From the oldest to the newest, entries are sent, ready, unloaded (on disk only) and fresh (behind what is unloaded, or
not to be sent before they are on disk). While the link keeps up nothing but `ready` is used, and the disk is left
alone, unless `durability` asks for it always. Nothing here blocks: what the disk is to do is a job.
"""

from __future__ import annotations

import abc
import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Iterator
from typing import Any

from ..clocks import Clocks
from ..service_settings import OutboxSettings
from .account import settle
from .disk_jobs import Check, Commit, DiskTask, Job, Load, Open
from .entry import Entry, StoreError, size_of
from .memory import Backlog
from .storage.reader import Page
from .storage.recovery import DAMAGED, Recovery

log = logging.getLogger("device_bridge")

_GROUP = 1000
"""Messages written in one commit at most, so that one commit never takes long."""
_PAGE = 256
"""Messages loaded from disk at once."""
FLUSH_AFTER_S = 0.5
FLUSH_AFTER = 256
"""Receipts reach the disk with the next commit, or after this time or number: what a crash sends again at most."""
_DONE_SHARE = 32
"""Of `max_bytes`: what was dropped gives its space back when it is so much, or after some seconds."""
CHECK_S = 3.0
"""Seconds after which files that were removed by others are noticed."""
NO_DISK_BYTES = 8 * 1024 * 1024
"""Most memory used while entries should be on disk and cannot be: some ten minutes of a busy device."""
EVERYTHING = 1 << 62


class DiskBacklog(Backlog):
    """What decides which entries are in memory, on disk, or in both.

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

    @abc.abstractmethod
    def _adopt(self) -> bool:
        """Puts what was found on disk before what is in memory, once none of that is under way; whether it has."""

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
        return not self._is_full(size) or (bool(self._unloaded) and len(self._fresh) < _GROUP)

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
        if not self._unloaded or len(self._ready) >= _PAGE // 2:
            return False
        return not self._ready or self._memory_bytes < self.settings.memory_bytes // 2

    @property
    def has_files(self) -> bool:
        """Whether there is something on disk that is still wanted."""
        return bool(self._unloaded) or self._written_to > self._done_to()

    def next_job(self) -> Job | None:
        """What the disk is to do next."""
        if not self._is_open:
            return Open()
        if self._found is not None and not self._adopt():
            return None
        if (group := self._due()) or self._flush_due:
            done, self._done, self._done_bytes = self._done, [], 0
            self._unflushed, self._flush_due = 0, False
            self._writing_to = group[-1].number if group else 0
            begun_at = self._clocks.wall() - self._clocks.since_boot()
            for entry in group:
                entry.put_at = entry.put_at or begun_at + entry.since
            return Commit(group, self._done_to(), done)
        if self._is_closing:
            return None
        if self._needs_load():
            return Load(self._loaded_to, _PAGE, self.settings.memory_bytes // 2)
        now = asyncio.get_running_loop().time()
        if now >= self._check_at and self.has_files:
            self._check_at = now + CHECK_S
            return Check()
        return None

    def _due(self) -> list[Entry]:
        """The next entries that are to be written now."""
        group: list[Entry] = []
        written_to, write_to = self._written_to, self._write_to
        for entry in self._held():
            if entry.number > written_to:
                if entry.number > write_to or len(group) >= _GROUP:
                    break
                group.append(entry)
        return group

    def finish_job(self, job: Job, result: Any) -> None:
        """The disk has done a job."""
        if self.problem:
            log.info("disk usable again")
            self.problem = ""
        if isinstance(job, Open):
            self._is_open, self._found = True, result
            self._adopt()
        elif isinstance(job, Commit):
            self._commit_done(job)
        elif isinstance(job, Load):
            self._load_done(result)

    def fail_job(self, job: Job, error: StoreError) -> None:
        """The disk could not do a job."""
        if str(error) != self.problem:
            log.error("%s; going on in memory", error)
        self.problem = str(error)
        if isinstance(job, Commit):
            self._done = [*job.done, *self._done]
            self._unflushed, self._flush_due = self._unflushed + 1, True
            self._writing_to = 0
        self._release_fresh()
        self._room.set()

    def _commit_done(self, job: Commit) -> None:
        self._writing_to = 0
        self._flushed_to = job.acknowledged
        if job.entries:
            self._written_to = max(self._written_to, job.entries[-1].number)
            self._unwritten_bytes = sum(size_of(entry) for entry in self._unwritten())
            self._notify_written()
            if self._done_to() > job.acknowledged:  # delivered while it was written: not to be found again
                self._unflushed += 1
                self._start_timer("flush", FLUSH_AFTER_S, self._flush)
        while self._fresh and self._fresh[0].number <= self._written_to:
            entry = self._fresh.popleft()
            if self._unloaded or self._memory_bytes > self.settings.memory_bytes:
                self._unload(entry)
            else:
                self._append_ready(entry)
        if not (self._fresh and self._memory_bytes > 2 * self.settings.memory_bytes):
            self._set_room()

    def _set_room(self) -> None:
        if not (self.settings.on_full == "pause_reading" and self._is_full(0)):
            self._room.set()

    def _unload(self, entry: Entry) -> None:
        if not self._unloaded:
            self._oldest_on_disk = entry.since
        self._unloaded += 1
        self._memory_bytes -= size_of(entry)

    def _load_done(self, page: Page) -> None:
        for entry in page.entries:
            self._append_ready(entry)
            self._memory_bytes += size_of(entry)
            self._oldest_on_disk = entry.since
        self._loaded_to = max(self._loaded_to, page.last)
        self._unloaded -= len(page.entries) + page.damaged_messages
        self._messages -= page.damaged_messages
        self.buffered -= page.damaged_readings
        if page.damaged_messages:
            self.dropped[DAMAGED] += page.damaged_readings
            self._is_unsettled = True
        if self._unloaded <= 0 or not (page.entries or page.damaged_messages):
            self._lose_unloaded()
            if self._is_unsettled:
                self._is_unsettled = False
                settle(self.accounts, ((each.stream, each.readings, size_of(each)) for each in self._held()), DAMAGED)
        while self.settings.on_full == "drop_oldest" and self._ready and self._is_overfull():
            self._drop_oldest()
        self._set_room()

    def _lose_unloaded(self) -> None:
        """What counts as waiting and is not in memory is out of reach: it is dropped, the rest goes on."""
        held = list(self._held())
        readings = sum(entry.readings for entry in held)
        if self.buffered != readings:
            self.dropped[DAMAGED] += self.buffered - readings
            self._is_unsettled = True
        self.buffered = readings
        self._messages, self._unloaded = len(held), 0
        self._bytes = self._memory_bytes = sum(size_of(entry) for entry in held)
        if not held:
            self._emptied.set()
            self._start_timer("flush", FLUSH_AFTER_S, self._flush)
        self._release_fresh()

    def _release_fresh(self) -> None:
        """Nothing on disk goes before what is fresh: it need not wait, unless it has to be on disk first."""
        is_always = self._write_to == EVERYTHING and not self.problem
        if not self._unloaded and self._found is None and not is_always:
            while self._fresh:
                self._append_ready(self._fresh.popleft())
