"""Messages between device and node, on disk when they have to wait.

From the oldest to the newest, entries are sent, ready, unloaded (on disk only) and fresh (to be written to disk
before anything else happens to them). While the link keeps up nothing but `ready` is used and the disk is left
alone, unless `durability` asks for it always.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ..service_settings import OutboxSettings
from .entry import Entry, StoreDamaged, StoreError
from .memory import OVERHEAD_BYTES, Backlog, size_of

if TYPE_CHECKING:
    from .sqlite_store import Store

log = logging.getLogger("device_bridge")

_GROUP = 1000
"""Messages written in one commit at most, so that one commit never takes long."""
_PAGE = 256
"""Messages loaded from disk at once."""
_FLUSH_AFTER_S = 0.5
_FLUSH_AFTER = 256
"""Receipts reach the disk with the next commit, or after this time or number: what a crash sends again at most."""
_RETRY_S = 10.0
NO_DISK_BYTES = 8 * 1024 * 1024
"""Most memory used while entries should be on disk and cannot be: some ten minutes of a busy device."""


class Outbox(Backlog):
    """A backlog that outgrows the memory and outlives the process.

    Parameters:
        settings: bounds, durability, and the overflow policy.
        file: where entries are kept on disk; None keeps all in memory.
    """

    def __init__(self, settings: OutboxSettings, file: Path | None = None) -> None:
        super().__init__(settings)
        self.recovered = 0
        """Readings found from an earlier run; part of `read`."""
        self.problem = ""
        """Why the disk cannot be used; "" while it can, or need not."""
        self._store: Store | None = None
        if file and settings.durability != "memory":
            from . import sqlite_store  # noqa: PLC0415 - a megabyte that an outbox in memory does not pay

            self._store = sqlite_store.Store(file, settings.sync)
        self._worker = ThreadPoolExecutor(1, "outbox") if self._store else None
        self._fresh: deque[Entry] = deque()
        self._unloaded = 0
        self._loaded_to = self._written_to = self._acknowledged = 0
        self._oldest_on_disk = 0.0
        self._pending_deletes: list[tuple[int, int]] = []
        self._unflushed_acks = 0
        self._on_disk = settings.durability == "always"
        self._disk_due = asyncio.Event()
        self._disk_task: asyncio.Task[None] | None = None
        self._spill_timer: asyncio.TimerHandle | None = None
        self._flush_timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Finds what an earlier run has left. A file that cannot be used leaves the outbox in memory."""
        if self._store is None:
            return
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._worker, self._store.open)
        except StoreError as error:
            self._fail(error)
        else:
            self._number = self._written_to = found.last
            self._acknowledged = self._loaded_to = found.first - 1 if found.messages else found.last
            self._messages = self._unloaded = found.messages
            self._bytes = found.size + found.messages * OVERHEAD_BYTES
            self.read = self.recovered = self.buffered = found.readings
            self._oldest_on_disk = found.oldest
            if found.messages:
                self._on_disk = True
                self._disk_due.set()
                log.info("%d readings of an earlier run are still to be delivered", found.readings)
        self._disk_task = loop.create_task(self._use_disk())

    async def close(self) -> None:
        """Writes what has not been delivered to disk, where there is one, for the next run.

        What can be kept nowhere is counted as dropped.
        """
        for timer in (self._spill_timer, self._flush_timer):
            if timer is not None:
                timer.cancel()
        if self._disk_task is not None:
            self._disk_task.cancel()
            await asyncio.gather(self._disk_task, return_exceptions=True)
        self.rewind()
        if self._store is not None and self._worker is not None:
            self._on_disk = True
            try:
                await self._commit()  # at least once: one that was cut short above may have written what is delivered
                while any(self._unwritten()) or self._unflushed_acks or self._pending_deletes:
                    await self._commit()
            except StoreError as error:
                self._fail(error)
            await asyncio.get_running_loop().run_in_executor(self._worker, self._store.close)
            self._worker.shutdown()
            self._store = self._worker = None
        if lost := sum(entry.readings for entry in self._unwritten()):
            log.warning(
                "%d readings were not delivered and are lost: %s", lost, self.problem or "kept in memory only"
            )
            self.buffered -= lost
            self.dropped["stopped"] += lost

    def take(self) -> Entry | None:
        entry = super().take()
        if self._unloaded and len(self._ready) < _PAGE // 2:
            self._disk_due.set()
        return entry

    def acknowledge(self, refused: str = "") -> None:
        number = self._acknowledged = self._sent[0].number
        super().acknowledge(refused)
        if number <= self._written_to:
            self._unflushed_acks += 1
            if self._unflushed_acks >= _FLUSH_AFTER:
                self._disk_due.set()
            elif self._flush_timer is None:
                self._flush_timer = asyncio.get_running_loop().call_later(_FLUSH_AFTER_S, self._flush_now)
        self._notify_written()

    def oldest_age_s(self) -> float:
        if self._messages and not self._sent and not self._ready:
            return max(0.0, time.time() - self._oldest_on_disk)
        return super().oldest_age_s()

    def _admit(self, entry: Entry) -> None:
        if self._unloaded or (self._on_disk and self._store and not self.problem):
            self._fresh.append(entry)
            self._disk_due.set()
            if self._memory_bytes > 2 * self.settings.memory_bytes:
                self._has_room.clear()  # the device sends faster than the disk writes: let the disk catch up
            return
        self._append_ready(entry)
        if self._store and not self._on_disk:
            self._watch_spill()

    def _append_ready(self, entry: Entry) -> None:
        super()._append_ready(entry)
        self._loaded_to = entry.number

    def _remove(self, entry: Entry) -> None:
        super()._remove(entry)
        if self._unloaded and not self._ready:
            self._disk_due.set()

    def _is_full(self, size: int) -> bool:
        needs_disk = self.problem or (self._store is None and self.settings.durability != "memory")
        return super()._is_full(size) or (bool(needs_disk) and self._memory_bytes + size > NO_DISK_BYTES)

    def _drop_oldest(self) -> Entry:
        oldest = super()._drop_oldest()
        if oldest.number <= self._written_to:
            self._delete_later(oldest.number)
        return oldest

    def _may_overflow(self) -> bool:
        """The oldest may be on disk, and has to be loaded to be dropped; until then one group more is taken."""
        self._disk_due.set()
        return bool(self._unloaded or self._fresh) and len(self._fresh) < _GROUP

    def _safe_to(self) -> int:
        always = self._store is not None and self.settings.durability == "always"
        return max(self._written_to, self._acknowledged) if always else super()._safe_to()

    @property
    def is_written(self) -> bool:
        """Whether a crash now would lose nothing."""
        return not self._fresh and self._last_in_memory() <= self._written_to

    def spill(self) -> None:
        """From now on entries go to disk, until all have been delivered."""
        if self._store and not self._on_disk:
            log.info("messages wait; writing them to disk")
            self._on_disk = True
            self._disk_due.set()

    def _watch_spill(self) -> None:
        if self._memory_bytes > self.settings.memory_bytes:
            self.spill()
        elif self._spill_timer is None:
            self._spill_timer = asyncio.get_running_loop().call_later(self.settings.spill_after, self._spill_old)

    def _spill_old(self) -> None:
        self._spill_timer = None
        if not self._on_disk and self._messages:
            is_due = self.oldest_age_s() >= self.settings.spill_after
            (self.spill if is_due else self._watch_spill)()

    def _delete_later(self, number: int) -> None:
        if self._pending_deletes and self._pending_deletes[-1][1] == number - 1:
            self._pending_deletes[-1] = (self._pending_deletes[-1][0], number)
        else:
            self._pending_deletes.append((number, number))
        self._disk_due.set()

    def _flush_now(self) -> None:
        self._flush_timer = None
        self._disk_due.set()

    def _unwritten(self) -> Iterator[Entry]:
        entries = itertools.chain(self._sent, self._ready, self._fresh)
        return (entry for entry in entries if entry.number > self._written_to)

    async def _use_disk(self) -> None:
        while True:
            await self._disk_due.wait()
            self._disk_due.clear()
            try:
                while self._on_disk and (self._fresh or self._last_in_memory() > self._written_to):
                    await self._commit()
                if self._unflushed_acks or self._pending_deletes:
                    await self._commit()
                if self._unloaded and len(self._ready) < _PAGE // 2:
                    await self._load()
            except StoreDamaged:
                self._lose_unloaded()
                self._written_to = 0  # what is still in memory goes into the new file
                self._disk_due.set()
            except StoreError as error:
                self._fail(error)
                await asyncio.sleep(_RETRY_S)
                self._disk_due.set()
            if self._on_disk and not self._messages and self.settings.durability != "always":
                self._on_disk = False

    def _last_in_memory(self) -> int:
        newest = self._ready or self._sent
        return newest[-1].number if newest else 0

    async def _commit(self) -> None:
        assert self._store is not None  # noqa: S101 - called only with a store
        fresh_only = self._last_in_memory() <= self._written_to
        group = list(itertools.islice(self._fresh if fresh_only else self._unwritten(), _GROUP))
        pending_deletes, self._pending_deletes = self._pending_deletes, []
        unflushed_acks, self._unflushed_acks = self._unflushed_acks, 0
        acknowledged = self._acknowledged
        live = [entry for entry in group if entry.number > acknowledged]
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._worker, self._store.commit, live, acknowledged, pending_deletes)
        except BaseException:
            self._pending_deletes = pending_deletes + self._pending_deletes
            self._unflushed_acks += unflushed_acks
            raise
        if self.problem:
            log.info("disk usable again: %s", self._store.file)
            self.problem = ""
        if group:
            self._written_to = max(self._written_to, group[-1].number)
            self._notify_written()
        while self._fresh and self._fresh[0].number <= self._written_to:
            entry = self._fresh.popleft()
            if self._unloaded or self._memory_bytes > self.settings.memory_bytes:
                self._unload(entry)
            else:
                self._append_ready(entry)
        if group and self._acknowledged > acknowledged:  # delivered while it was written: not to be found again
            self._unflushed_acks += 1
            self._disk_due.set()
        if not self._fresh and not (self.settings.on_full == "pause_reading" and self._is_full(0)):
            self._has_room.set()

    def _unload(self, entry: Entry) -> None:
        if not self._unloaded:
            self._oldest_on_disk = entry.put_at
        self._unloaded += 1
        self._memory_bytes -= size_of(entry)

    async def _load(self) -> None:
        assert self._store is not None  # noqa: S101 - called only with a store
        loop = asyncio.get_running_loop()
        page = await loop.run_in_executor(self._worker, self._store.load, self._loaded_to, _PAGE)
        for entry in page.entries:
            self._append_ready(entry)
            self._memory_bytes += size_of(entry)
            self._oldest_on_disk = entry.put_at
        self._loaded_to = page.last
        self._unloaded -= len(page.entries) + page.damaged_messages
        self._messages -= page.damaged_messages
        self.buffered -= page.damaged_readings
        if page.damaged_messages:
            self.dropped["damaged on disk"] += page.damaged_readings
        if self._unloaded <= 0 or not (page.entries or page.damaged_messages):
            self._lose_unloaded()
        if self.settings.on_full == "drop_oldest":
            self._make_room(0)

    def _lose_unloaded(self) -> None:
        """What counts as waiting and is not in memory is out of reach: it is dropped, the rest goes on."""
        held = list(itertools.chain(self._sent, self._ready, self._fresh))
        readings = sum(entry.readings for entry in held)
        if self.buffered != readings:
            self.dropped["damaged on disk"] += self.buffered - readings
        self.buffered = readings
        self._messages, self._unloaded = len(held), 0
        if not held:
            self._emptied.set()
        self._bytes = self._memory_bytes = sum(size_of(entry) for entry in held)

    def _fail(self, error: StoreError) -> None:
        if str(error) != self.problem:
            log.error("%s; going on in memory", error)
        self.problem = str(error)
        self._has_room.set()
        if not self._unloaded:
            while self._fresh:
                self._append_ready(self._fresh.popleft())
