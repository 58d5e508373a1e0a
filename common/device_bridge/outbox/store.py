"""The outbox's folder: messages appended to files of a few megabytes, which are removed when all in them are delivered.

An append is one write, and one sync where the settings ask for it; nothing is written twice, and space comes back with
each file. What is damaged is counted exactly, as every record says what came before it and the file `state` how much
there was, and the damaged file is kept. A database has its log instead, and ends that at the first damaged frame.

All calls block, and raise StoreError. The outbox makes them in one worker thread, so that a slow card never holds up a
device.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from ..clocks import Clocks
from . import records
from .disk import Disk
from .entry import Entry, StoreError
from .records import Chain, Lost, Record
from .recovery import Recovery, RecoveryOptions, recover
from .segments import Segment, is_live, segment_name
from .set_aside import choose_name, remove_oldest
from .state_file import StateFile

log = logging.getLogger("device_bridge")

_SEGMENT_SHARE = 16
_SEGMENT_BYTES = 64 * 1024, 4 * 1024 * 1024
"""A segment has this share of `max_bytes`, within these bounds: as much space may be taken by what is delivered."""
_GIVE_UP_AFTER = 3
"""Attempts to read a segment, each some seconds after the one before."""
_LOCK = "lock"


class Page(NamedTuple):
    """Some messages in order, and how many among them were damaged."""

    entries: list[Entry]
    last: int
    damaged_messages: int = 0
    damaged_readings: int = 0


class Store:
    """Messages on disk, oldest first.

    Parameters:
        folder: where the files are; it is made when missing.
        sync: `full` loses nothing in a power cut; `normal` may lose what was written in the last half minute.
        max_bytes: most bytes of messages; sets how large one file is.
        disk: the file system.
        clocks: to tell how old messages of an earlier boot are.
    """

    def __init__(
        self, folder: Path, sync: Literal["normal", "full"], max_bytes: int, disk: Disk, clocks: Clocks
    ) -> None:
        self.folder = folder
        self._sync, self._disk, self._clocks = sync == "full", disk, clocks
        least, most = _SEGMENT_BYTES
        self._segment_bytes = min(max(max_bytes // _SEGMENT_SHARE, least), most)
        self._lock: int | None = None
        self._state = StateFile(folder, disk)
        self._segments: list[Segment] = []
        self._current: Segment | None = None
        self._serial = 0
        self._last = self._total = self._acknowledged = 0
        self._done: list[tuple[int, int]] = []
        self._cursor: tuple[Segment, int, Chain] | None = None
        self._failures = 0

    @property
    def is_open(self) -> bool:
        """Whether what earlier runs have left is known."""
        return self._lock is not None

    def open(self) -> Recovery:
        """Finds what earlier runs have left."""
        try:
            self._disk.make_folder(self.folder)
            self._take_lock()
            found = self._recover()
            old = self.folder.with_name(f"{self.folder.name}.db")
            if old.exists():
                self._import(old)
                self._close_files()
                found = self._recover()
            remove_oldest(self._disk, self.folder)
        except (OSError, StoreError) as error:
            self._failures += 1
            self._release()
            raise (self._error(error) if isinstance(error, OSError) else error) from None
        return found

    def commit(self, added: Iterable[Entry], acknowledged: int, done: Iterable[tuple[int, int]] = ()) -> None:
        """Adds messages and is done with others; after an error as if it had not been called.

        Parameters:
            added: new messages, in order.
            acknowledged: every message up to this number is done with.
            done: ranges of numbers, both ends included, that are done with too.
        """
        last, total, parts = self._last, self._total, []
        for entry in added:
            if entry.number <= last:  # it was written by a commit that failed only afterwards
                continue
            if entry.number > last + 1:  # those between were done with before they could be written
                parts.append(records.encode_gap(last + 1, entry.number - 1, 0, total))
            parts.append(records.encode_entry(entry, total))
            last, total = entry.number, total + entry.readings
        acknowledged = max(acknowledged, self._acknowledged)
        all_done = sorted({*self._done, *done})
        parts.append(records.encode_state(records.STATE, last, total, acknowledged, all_done))
        try:
            self._remove_delivered(acknowledged)
            segment = self._writable()
            self._append(segment, b"".join(parts))
        except OSError as error:
            raise self._error(error) from None
        self._acknowledged, self._done = acknowledged, all_done
        self._last = segment.last = last
        self._total = segment.total = total
        with contextlib.suppress(OSError):  # it only helps to count damage
            self._state.write(last, total, acknowledged, self._clocks.boot)
        self._forget_early()
        with contextlib.suppress(OSError):  # the next commit tries again
            self._remove_all_delivered()

    def load(self, after: int, limit: int, max_bytes: int) -> Page:
        """The next messages behind a number; damaged ones are left out and counted.

        Parameters:
            after: the number of the last one loaded.
            limit: most messages.
            max_bytes: loads no more when it has so many bytes of them.
        """
        entries: list[Entry] = []
        lost: list[Lost] = []
        last = after
        for segment in list(self._segments):
            if segment.last <= after:
                continue
            try:
                for record in self._read(segment, after, lost):
                    if is_live(record, max(after, self._acknowledged), self._done):
                        entries.append(record.to_entry(self._since(segment, record)))
                        max_bytes -= len(record.payload)
                    last = after = record.number
                    if len(entries) >= limit or max_bytes <= 0:
                        return self._page(entries, last, lost)
            except (OSError, records.LayoutError) as error:
                if entries or lost:
                    break  # the error comes again with the next page
                segment.failures += 1
                self._cursor = None
                if segment.failures < _GIVE_UP_AFTER:
                    raise StoreError(f"{segment.file.path}: {error}") from None
                rest = Chain(*segment.first).go_to(segment.last, segment.total)
                if rest is not None and (rest := rest.beyond(max(after, self._acknowledged), self._done)):
                    lost.append(rest)
                self._give_up(segment, str(error))
            last = after = segment.last
        return self._page(entries, last, lost)

    def check(self) -> None:
        """Writes anew what was removed behind our back: what is open can still be read."""
        try:
            if self._lock is None or all(each.file.is_in_place() for each in self._segments):
                return
            self._disk.make_folder(self.folder)
            if _LOCK not in self._disk.names(self.folder):
                self._disk.unlock(self._lock)
                self._lock = None
                self._take_lock()
            for segment in self._segments:
                if not segment.file.is_in_place():
                    self._write_anew(segment)
            if not self._state.is_in_place():
                self._state.close()
                self._state.write(self._last, self._total, self._acknowledged, self._clocks.boot)
        except OSError as error:
            raise self._error(error) from None

    def close(self) -> None:
        """Ends its use; when nothing is left to be delivered nothing is left on disk."""
        with contextlib.suppress(OSError):
            if self._lock is not None and self._last <= self._acknowledged:
                self._remove_all()
            elif self._lock is not None and self._current is not None:
                self._current.file.sync()
                self._state.write(self._last, self._total, self._acknowledged, self._clocks.boot, sync=True)
        self._release()

    def _close_files(self) -> None:
        self._state.close()
        for segment in self._segments:
            with contextlib.suppress(OSError):
                segment.file.close()
        self._segments, self._current, self._cursor = [], None, None

    def _release(self) -> None:
        self._close_files()
        lock, self._lock = self._lock, None
        if lock is not None:
            self._disk.unlock(lock)

    def _recover(self) -> Recovery:
        options = RecoveryOptions(
            self._clocks.boot, self._state, synced=self._sync, give_up=self._failures >= _GIVE_UP_AFTER
        )
        found = recover(self.folder, self._disk, options)
        self._segments, self._serial = found.segments, found.serial
        self._last, self._total = found.last, found.total
        self._acknowledged, self._done = found.acknowledged, list(found.done)
        self._forget_early()
        return found

    def _import(self, old: Path) -> None:
        from .sqlite_import import import_database  # noqa: PLC0415 - a megabyte that is needed once

        def add(entries: list[Entry]) -> None:
            for number, entry in enumerate(entries, self._last + 1):
                entry.number = number
            self.commit(entries, self._acknowledged)

        import_database(old, add, self._clocks)

    def _take_lock(self) -> None:
        try:
            self._lock = self._disk.lock(self.folder / _LOCK)
        except BlockingIOError:
            raise StoreError(f"{self.folder}: another process uses it (locked)") from None

    def _error(self, error: OSError) -> StoreError:
        return StoreError(f"{error.filename or self.folder}: {error.strerror or error}")

    def _writable(self) -> Segment:
        """The segment that grows; a new one where there is none, or it is large enough."""
        current = self._current
        if current is not None and current.size < self._segment_bytes:
            return current
        if current is not None:
            current.file.sync()
        path = self.folder / segment_name(self._serial + 1)
        file = self._disk.create(path)
        segment = Segment(self._serial + 1, file, 0, (self._last, self._total))
        segment.boot = self._clocks.boot
        head = records.encode_state(
            records.SEGMENT, self._last, self._total, self._acknowledged, self._done, segment.boot
        )
        try:
            self._append(segment, head)
            if self._sync:
                self._disk.sync_folder(self.folder)
        except OSError:
            file.close()
            self._disk.remove(path)
            raise
        self._serial += 1
        self._segments.append(segment)
        self._current = segment
        return segment

    def _append(self, segment: Segment, data: bytes) -> None:
        try:
            segment.file.write(data, segment.size)
            if self._sync:
                segment.file.sync()
        except OSError:
            if segment is self._current:
                self._current = None  # what comes after a part of this goes into the next one
            with contextlib.suppress(OSError):
                segment.file.truncate(segment.size)
            raise
        segment.size += len(data)

    def _forget_early(self) -> None:
        """Ranges right behind what is acknowledged are acknowledged with it."""
        self._done = [each for each in self._done if each[1] > self._acknowledged]
        while self._done and self._done[0][0] <= self._acknowledged + 1:
            self._acknowledged = self._done.pop(0)[1]

    def _remove_delivered(self, acknowledged: int) -> None:
        """All files but the newest, which has the newest statement about what is acknowledged."""
        while len(self._segments) > 1 and self._segments[0].last <= acknowledged:
            self._remove(self._segments[0])

    def _remove_all_delivered(self) -> None:
        """Nothing is left: what has grown is given back."""
        current = self._current
        if current is not None and self._last <= self._acknowledged and current.size >= self._segment_bytes // 4:
            self._remove_all()

    def _remove_all(self) -> None:
        self._state.remove()
        while self._segments:
            self._remove(self._segments[0])
        self._current = None

    def _remove(self, segment: Segment) -> None:
        self._segments.remove(segment)
        if self._cursor and self._cursor[0] is segment:
            self._cursor = None
        segment.file.close()
        self._disk.remove(segment.file.path)

    def _read(self, segment: Segment, after: int, lost: list[Lost]) -> Iterator[Record]:
        """Messages of a segment from where the last page ended; what is missing between them is told."""
        cursor, done = self._cursor, (max(after, self._acknowledged), self._done)
        if cursor is not None and cursor[0] is segment and cursor[2].last == after:
            _, at, chain = cursor
        else:
            at, chain = 0, Chain(*segment.first)
        found: list[Lost | None] = []
        for step in segment.walk(at, chain):
            found.append(step.lost.beyond(*done) if step.lost is not None else None)
            if step.is_new and step.record is not None and step.record.number > after:
                self._cursor = segment, step.end, chain
                lost += filter(None, found)
                found.clear()
                yield step.record
        at_end = chain.go_to(segment.last, segment.total)
        found.append(at_end.beyond(*done) if at_end is not None else None)
        lost += filter(None, found)
        self._cursor = None

    def _page(self, entries: list[Entry], last: int, lost: list[Lost]) -> Page:
        messages = sum(each.messages for each in lost)
        if lost:
            log.error("%s: %d messages are damaged and left out", self.folder, messages)
            self._repair(lost)
        return Page(entries, last, messages, sum(each.readings for each in lost))

    def _repair(self, lost: list[Lost]) -> None:
        """So that what is counted now is not counted again by the next run."""
        self._cursor = None
        for segment in self._segments:
            if any((segment.first[0] or 0) < each.last and each.first <= segment.last for each in lost):
                with contextlib.suppress(OSError, records.LayoutError):
                    aside = choose_name(self._disk, segment.file.path)
                    segment.repair(self._disk, aside)
                    log.error("%s was damaged; it is kept as %s", segment.file.path, aside.name)
                    remove_oldest(self._disk, self.folder)

    def _give_up(self, segment: Segment, why: str) -> None:
        """Keeps a file that cannot be read under another name."""
        self._segments.remove(segment)
        if self._current is segment:
            self._current = None
        with contextlib.suppress(OSError):
            aside = choose_name(self._disk, segment.file.path)
            self._disk.rename(segment.file.path, aside)
            log.error("%s cannot be read (%s); it is kept as %s", segment.file.path, why, aside.name)
        with contextlib.suppress(OSError):
            segment.file.close()

    def _write_anew(self, segment: Segment) -> None:
        path, size = segment.file.path, min(segment.size, segment.file.size())
        self._disk.remove(path)
        copy = self._disk.create(path)
        try:
            for at in range(0, size, 1 << 20):
                copy.write(segment.file.read(min(1 << 20, size - at), at), at)
            copy.sync()
        except OSError:
            copy.close()
            self._disk.remove(path)
            raise
        segment.file.close()
        segment.file = copy
        log.error("%s was removed by another program; it is written anew", path)

    def _since(self, segment: Segment, record: Record) -> float:
        if segment.boot == self._clocks.boot:
            return record.since
        return self._clocks.since_boot() - max(0.0, self._clocks.wall() - record.put_at)
