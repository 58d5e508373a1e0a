"""Messages between device and node: in order, bounded, accounted for, and on disk when they have to wait.

At any moment `read = delivered + buffered + dropped`, counted in readings.

From the oldest to the newest, entries are sent (waiting for their receipts), ready (in memory, to be sent next),
unloaded (on disk only) and fresh (to be written to disk before anything else happens to them). While the link
keeps up nothing but `ready` is used and the disk is left alone, unless `durability` asks for it always.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .settings import OutboxSettings
from .store import Entry, Store, StoreDamaged, StoreError

log = logging.getLogger("device_bridge")

_OVERHEAD_BYTES = 200
"""What an entry costs beside its body: two Python objects and a place in a deque, or a row."""
_GROUP = 1000
"""Messages written in one commit at most, so that one commit never takes long."""
_PAGE = 256
"""Messages loaded from disk at once."""
_FORGET_AFTER_S = 0.5
_FORGET_AFTER = 256
"""Receipts reach the disk with the next commit, or after this time or number: what a crash sends again at most."""
_RETRY_S = 10.0
NO_DISK_BYTES = 8 * 1024 * 1024
"""Most memory used while entries should be on disk and cannot be: some ten minutes of a busy device."""


class Outbox:
    """A queue whose head stays until the node has taken it.

    Parameters:
        settings: bounds, durability, and what to give up when it is full.
        file: where entries are kept on disk; None keeps all in memory.
    """

    def __init__(self, settings: OutboxSettings, file: Path | None = None) -> None:
        self.settings = settings
        self.read = 0
        """Readings put in, found from an earlier run, or dropped on the way in."""
        self.delivered = 0
        """Readings the node has given a receipt for."""
        self.dropped: Counter[str] = Counter()
        """Readings given up, by reason."""
        self.buffered = 0
        """Readings waiting, sent or not."""
        self.recovered = 0
        """Readings found from an earlier run; part of `read`."""
        self.problem = ""
        """Why the disk cannot be used; "" while it can, or need not."""
        self._store = Store(file, settings.sync) if file and settings.durability != "memory" else None
        self._worker = ThreadPoolExecutor(1, "outbox") if self._store else None
        self._sent: deque[Entry] = deque()
        self._ready: deque[Entry] = deque()
        self._fresh: deque[Entry] = deque()
        self._messages = self._bytes = self._memory_bytes = 0
        self._unloaded = 0
        self._loaded_to = self._written_to = self._acknowledged = self._number = 0
        self._oldest_on_disk = 0.0
        self._forgotten: list[tuple[int, int]] = []
        self._unforgotten = 0
        self._on_disk = settings.durability == "always"
        self._filled, self._has_room, self._disk_due = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._has_room.set()
        self._disk_task: asyncio.Task[None] | None = None
        self._spill_timer: asyncio.TimerHandle | None = None
        self._forget_timer: asyncio.TimerHandle | None = None

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
            self._bytes = found.size + found.messages * _OVERHEAD_BYTES
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
        for timer in (self._spill_timer, self._forget_timer):
            if timer is not None:
                timer.cancel()
        if self._disk_task is not None:
            self._disk_task.cancel()
            await asyncio.gather(self._disk_task, return_exceptions=True)
        self.rewind()
        if self._store is not None and self._worker is not None:
            self._on_disk = True
            try:
                while self._unwritten() or self._unforgotten or self._forgotten:
                    await self._commit()
            except StoreError as error:
                self._fail(error)
            await asyncio.get_running_loop().run_in_executor(self._worker, self._store.close)
            self._worker.shutdown()
            self._store = self._worker = None
        lost = sum(entry.readings for entry in self._unwritten())
        if lost:
            log.warning(
                "%d readings were not delivered and are lost: %s", lost, self.problem or "kept in memory only"
            )
            self.buffered -= lost
            self.dropped["stopped"] += lost

    def put(self, body: bytes, readings: int, clock: str = "") -> None:
        """Takes one message. When there is no room, messages are given up as the settings say.

        Parameters:
            body: the binary ioMessage.
            readings: how many readings it holds.
            clock: the clock's mark; "" when the times in the body are right.
        """
        self.read += readings
        size = len(body) + _OVERHEAD_BYTES
        if not self._make_room(size):
            self.dropped["outbox full"] += readings
            return
        self._number += 1
        entry = Entry(self._number, body, readings, time.time(), clock)
        self.buffered += readings
        self._messages += 1
        self._bytes += size
        self._memory_bytes += size
        if self._unloaded or (self._on_disk and self._store and not self.problem):
            self._fresh.append(entry)
            self._disk_due.set()
        else:
            self._append_ready(entry)
            if self._store and not self._on_disk:
                self._watch_spill()
        if self.settings.on_full == "block_device" and self._is_full(0):
            self._has_room.clear()

    async def wait_room(self) -> None:
        """Returns when the next sample may be read; waits only where settings say `block_device`."""
        await self._has_room.wait()

    def refuse(self, readings: int, reason: str) -> None:
        """Counts readings that could not become a message."""
        self.read += readings
        self.dropped[reason] += readings

    def take(self) -> Entry | None:
        """The next unsent message, from now on counted as sent."""
        if not self._ready:
            self._filled.clear()
            return None
        entry = self._ready.popleft()
        self._sent.append(entry)
        if self._unloaded and len(self._ready) < _PAGE // 2:
            self._disk_due.set()
        return entry

    def acknowledge(self) -> None:
        """The oldest message sent has its receipt."""
        entry = self._sent.popleft()
        self.delivered += entry.readings
        self._acknowledged = entry.number
        self._remove(entry)
        if entry.number <= self._written_to:
            self._unforgotten += 1
            if self._unforgotten >= _FORGET_AFTER:
                self._disk_due.set()
            elif self._forget_timer is None:
                self._forget_timer = asyncio.get_running_loop().call_later(_FORGET_AFTER_S, self._forget_now)

    def rewind(self) -> None:
        """Nothing that was sent has a receipt coming: all of it is unsent again, in its old order."""
        self._ready.extendleft(reversed(self._sent))
        self._sent.clear()
        if self._ready:
            self._filled.set()

    async def wait_unsent(self) -> None:
        """Returns when there is something to send."""
        await self._filled.wait()

    @property
    def is_empty(self) -> bool:
        """Whether everything has been delivered."""
        return not self._messages

    @property
    def bytes_in_memory(self) -> int:
        """Estimated memory of the entries that are not on disk alone."""
        return self._memory_bytes

    def oldest_age_s(self) -> float:
        """Seconds the oldest message has waited; 0 when none does."""
        oldest = next(iter(itertools.chain(self._sent, self._ready)), None)
        put_at = oldest.put_at if oldest else self._oldest_on_disk if self._messages else time.time()
        return max(0.0, time.time() - put_at)

    def spill(self) -> None:
        """From now on entries go to disk, until all have been delivered."""
        if self._store and not self._on_disk:
            log.info("messages wait for the node; writing them to disk")
            self._on_disk = True
            self._disk_due.set()

    def _is_full(self, size: int) -> bool:
        settings = self.settings
        if self._messages >= settings.max_messages or self._bytes + size > settings.max_bytes:
            return True
        needs_disk = self.problem or (self._store is None and settings.durability != "memory")
        return bool(needs_disk) and self._memory_bytes + size > NO_DISK_BYTES

    def _make_room(self, size: int) -> bool:
        while self._is_full(size):
            if self.settings.on_full == "block_device":
                return True  # the one sample that was already read
            if self.settings.on_full == "drop_newest":
                return False
            if not self._ready:
                # The oldest is on disk and has to be loaded to be dropped; until then one group more is kept.
                self._disk_due.set()
                return bool(self._unloaded or self._fresh) and len(self._fresh) < _GROUP
            oldest = self._ready.popleft()
            self._remove(oldest)
            self.dropped["outbox full"] += oldest.readings
            if oldest.number <= self._written_to:
                self._forget_later(oldest.number)
        return True

    def _remove(self, entry: Entry) -> None:
        size = len(entry.body) + _OVERHEAD_BYTES
        self._messages -= 1
        self._bytes -= size
        self._memory_bytes -= size
        self.buffered -= entry.readings
        if not self._has_room.is_set() and not self._is_full(0):
            self._has_room.set()
        if self._unloaded and not self._ready:
            self._disk_due.set()

    def _append_ready(self, entry: Entry) -> None:
        self._ready.append(entry)
        self._loaded_to = entry.number
        self._filled.set()

    def _watch_spill(self) -> None:
        if self._memory_bytes > self.settings.memory_bytes:
            self.spill()
        elif self._spill_timer is None:
            self._spill_timer = asyncio.get_running_loop().call_later(self.settings.spill_after_s, self._spill_old)

    def _spill_old(self) -> None:
        self._spill_timer = None
        if self._on_disk or not self._messages:
            return
        if self.oldest_age_s() >= self.settings.spill_after_s:
            self.spill()
        else:
            self._watch_spill()

    def _forget_later(self, number: int) -> None:
        if self._forgotten and self._forgotten[-1][1] == number - 1:
            self._forgotten[-1] = (self._forgotten[-1][0], number)
        else:
            self._forgotten.append((number, number))
        self._disk_due.set()

    def _forget_now(self) -> None:
        self._forget_timer = None
        self._disk_due.set()

    def _unwritten(self) -> list[Entry]:
        entries = itertools.chain(self._sent, self._ready, self._fresh)
        return list(itertools.islice((e for e in entries if e.number > self._written_to), _GROUP))

    async def _use_disk(self) -> None:
        while True:
            await self._disk_due.wait()
            self._disk_due.clear()
            try:
                while self._on_disk and (self._fresh or self._last_in_memory() > self._written_to):
                    await self._commit()
                if self._unforgotten or self._forgotten:
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
        group = list(itertools.islice(self._fresh, _GROUP)) if fresh_only else self._unwritten()
        forgotten, self._forgotten = self._forgotten, []
        unforgotten, self._unforgotten = self._unforgotten, 0
        acknowledged = self._acknowledged
        live = [entry for entry in group if entry.number > acknowledged]
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._worker, self._store.commit, live, acknowledged, forgotten)
        except BaseException:
            self._forgotten = forgotten + self._forgotten
            self._unforgotten += unforgotten
            raise
        if self.problem:
            log.info("disk usable again: %s", self._store.file)
            self.problem = ""
        if group:
            self._written_to = max(self._written_to, group[-1].number)
        while self._fresh and self._fresh[0].number <= self._written_to:
            entry = self._fresh.popleft()
            if self._unloaded or self._memory_bytes > self.settings.memory_bytes:
                self._unload(entry)
            else:
                self._append_ready(entry)

    def _unload(self, entry: Entry) -> None:
        if not self._unloaded:
            self._oldest_on_disk = entry.put_at
        self._unloaded += 1
        self._memory_bytes -= len(entry.body) + _OVERHEAD_BYTES

    async def _load(self) -> None:
        assert self._store is not None  # noqa: S101 - called only with a store
        loop = asyncio.get_running_loop()
        page = await loop.run_in_executor(self._worker, self._store.load, self._loaded_to, _PAGE)
        for entry in page.entries:
            self._append_ready(entry)
            self._memory_bytes += len(entry.body) + _OVERHEAD_BYTES
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
        self._bytes = self._memory_bytes = sum(len(entry.body) + _OVERHEAD_BYTES for entry in held)

    def _fail(self, error: StoreError) -> None:
        if str(error) != self.problem:
            log.error("%s; going on in memory", error)
        self.problem = str(error)
        if not self._unloaded:
            while self._fresh:
                self._append_ready(self._fresh.popleft())
