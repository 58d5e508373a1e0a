"""Messages between device and node: an outbox that outgrows the memory and outlives the process."""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path

from ..clocks import Clocks
from ..service_settings import OutboxSettings
from .account import Account
from .disk_backlog import CHECK_S, DiskBacklog
from .disk_jobs import DiskTask
from .entry import OVERHEAD_BYTES, Entry, size_of
from .spilling import EVERYTHING, FLUSH_AFTER, FLUSH_AFTER_S
from .storage.disk import Disk
from .storage.recovery import Recovery
from .storage.store import Store

log = logging.getLogger("device_bridge")


class Outbox(DiskBacklog):
    """A backlog that outgrows the memory and outlives the process.

    Parameters:
        settings: bounds, durability, and the overflow policy.
        folder: where entries are kept on disk; None keeps all in memory.
        disk: the file system.
        clocks: to tell how long messages have waited, also over restarts.
    """

    def __init__(
        self,
        settings: OutboxSettings,
        folder: Path | None = None,
        *,
        disk: Disk | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        super().__init__(settings, clocks)
        self.recovered = 0
        """Readings found from an earlier run, or found missing; part of `read`."""
        if folder and settings.durability != "memory":
            store = Store(folder, settings.sync, settings.max_bytes, disk or Disk(), self._clocks)
            self._disk = DiskTask(store, self, CHECK_S)

    async def open(self) -> None:
        """Finds what an earlier run has left. A disk that cannot be used leaves the outbox in memory, and is tried
        again: what is found then goes before what has come meanwhile."""
        if self._disk is not None:
            await self._disk.open()

    async def close(self) -> None:
        """Writes what has not been delivered to disk, where there is one, for the next run.

        What can be kept nowhere is counted as dropped. When it is cancelled, it can be called again.
        """
        for timer in self._timers.values():
            timer.cancel()
        self.rewind()
        self.take_back()
        self._is_closing = True
        if self._disk is not None:
            self._write_to = EVERYTHING
            self._flush_due = bool(self._done) or self._done_to() > self._flushed_to
            await self._disk.close()
            self._disk = None
        unwritten = list(self._unwritten())
        if lost := sum(entry.readings for entry in unwritten):
            log.warning(
                "%d readings were not delivered and are lost: %s", lost, self.problem or "kept in memory only"
            )
            self.buffered -= lost
            self.dropped["stopped"] += lost
            for entry in unwritten:
                if entry.stream:
                    self.accounts[entry.stream].end(entry.readings, size_of(entry), "stopped")

    @property
    def disk_errors(self) -> int:
        """Unexpected errors of the part that uses the disk, each followed by another attempt."""
        return self._disk.unexpected if self._disk else 0

    def take(self) -> Entry | None:
        if self._found is not None:
            self._filled.clear()  # what was found on disk goes first
            return None
        if not self._ready and self._fresh and not self._unloaded and self._write_to < EVERYTHING:
            self._append_ready(self._fresh.popleft())
        entry = super().take()
        if self._needs_load():
            self._wake()
        return entry

    def acknowledge(self, refused: str = "") -> None:
        if not self._sent:
            return
        number = self._acknowledged = self._sent[0].number
        super().acknowledge(refused)
        if number <= self._written_to:
            self._unflushed += 1
            if self._unflushed >= FLUSH_AFTER:
                self._flush()
            else:
                self._start_timer("flush", FLUSH_AFTER_S, self._flush)
        if self._to_notify:
            self._notify_written()
        if self._found is not None:
            self._adopt()

    def rewind(self) -> None:
        super().rewind()
        self._adopt()

    def oldest_age_s(self) -> float:
        if self._sent or self._ready:
            return super().oldest_age_s()
        oldest = self._oldest_on_disk if self._unloaded else self._fresh[0].since if self._fresh else None
        return max(0.0, self._clocks.since_boot() - oldest) if oldest is not None else 0.0

    @property
    def is_written(self) -> bool:
        """Whether a crash now would lose nothing."""
        return next(self._unwritten(), None) is None

    def _adopt(self) -> bool:
        """Puts what was found on disk before what is in memory, once none of that is under way; whether it has."""
        found = self._found
        if found is None or (found.messages and self._sent):
            return False
        self._found = None
        for entry in self._held():
            entry.number += found.last
        self._number += found.last
        self._to_notify = deque((number + found.last, done) for number, done in self._to_notify)
        self._written_to, self._acknowledged, self._done = found.last, found.acknowledged, []
        self._flushed_to = found.acknowledged
        if found.messages:
            self._fresh = deque([*self._ready, *self._fresh])
            self._ready.clear()
            self._unloaded, self._loaded_to = found.messages, found.acknowledged
            self._messages += found.messages
            self._bytes += found.size + found.messages * OVERHEAD_BYTES
            self._oldest_on_disk = self._since(found)
            for stream, (messages, readings, size) in found.streams.items():
                account = self.accounts.setdefault(stream, Account())
                account.recover(readings, size + messages * OVERHEAD_BYTES)
            log.info("%d readings of an earlier run are still to be delivered", found.readings)
        else:
            self._loaded_to += found.last
        lost = sum(found.lost.values())
        self.recovered = found.readings + lost
        self.read += self.recovered
        self.buffered += found.readings
        self.dropped.update(found.lost)
        if self._ready:
            self._filled.set()
        self._release_fresh()
        self._wake()
        return True

    def _since(self, found: Recovery) -> float:
        put_at, since, boot = found.oldest or (0.0, 0.0, "")
        if boot == self._clocks.boot:
            return since
        return self._clocks.since_boot() - max(0.0, self._clocks.wall() - put_at)
