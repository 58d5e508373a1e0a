"""What a backlog has its disk do, and what follows from it. Nothing here blocks: the work is a job."""

from __future__ import annotations

import abc
import asyncio
import logging
from typing import Any

from .account import settle
from .disk_jobs import Check, Commit, Job, Load, Open
from .entry import Entry, StoreError, size_of
from .spilling import EVERYTHING, FLUSH_AFTER_S, GROUP, PAGE, SpillingBacklog
from .storage.reader import Page
from .storage.recovery import DAMAGED

log = logging.getLogger("device_bridge")

CHECK_S = 3.0
"""Seconds after which files that were removed by others are noticed."""


class DiskBacklog(SpillingBacklog):
    """A backlog whose entries go to disk when they have to wait, and come back from there."""

    @abc.abstractmethod
    def _adopt(self) -> bool:
        """Puts what was found on disk before what is in memory, once none of that is under way; whether it has."""

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
            return Load(self._loaded_to, PAGE, self.settings.memory_bytes // 2)
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
                if entry.number > write_to or len(group) >= GROUP:
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
