"""The outbox's folder: messages appended to files of a few megabytes, each removed when all in it are delivered.

An append is one write, and one sync where the settings ask for it; nothing is written twice, and space comes back
with each file. What is damaged is counted exactly, as every record says what came before it and the file `state` how
much there was, and the damaged file is kept. A database has its log instead, and ends that at the first bad frame.

All calls block, and raise StoreError. The outbox makes them in one worker thread, so that a slow card never holds up
a device.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from ...clocks import Clocks
from ..entry import Entry, StoreError
from . import records
from .disk import Disk
from .reader import GIVE_UP_AFTER, Page, Reader
from .records import Progress, Ranges
from .recovery import Recovery, RecoveryOptions, recover
from .segments import Segment, segment_name
from .set_aside import remove_oldest
from .state_file import StateFile

log = logging.getLogger("device_bridge")

_SEGMENT_SHARE = 16
_SEGMENT_BYTES = 64 * 1024, 4 * 1024 * 1024
"""A segment has this share of `max_bytes`, within these bounds: as much space may be taken by what is delivered."""
_LOCK = "lock"


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
        self._progress = Progress()
        self._reader = Reader(folder, disk, clocks)
        self._failures = 0

    @property
    def is_open(self) -> bool:
        """Whether what earlier runs have left is known."""
        return self._lock is not None

    def open(self) -> Recovery:
        """Finds what earlier runs have left."""
        self._release()  # of an attempt whose answer nobody has waited for
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
        except Exception as error:
            self._failures += 1
            self._release()
            if isinstance(error, OSError):
                raise self._error(error) from None
            raise
        return found

    def commit(self, added: Iterable[Entry], acknowledged: int, done: Iterable[tuple[int, int]] = ()) -> None:
        """Adds messages and is done with others; after an error as if it had not been called.

        Parameters:
            added: new messages, in order.
            acknowledged: every message up to this number is done with.
            done: ranges of numbers, both ends included, that are done with too.
        """
        before, parts = self._progress, []
        last, total = before.last, before.total
        for entry in added:
            if entry.number <= last:  # it was written by a commit that failed only afterwards
                continue
            if entry.number > last + 1:  # those between were done with before they could be written
                parts.append(records.encode_gap(last + 1, entry.number - 1, 0, total))
            parts.append(records.encode_entry(entry, total))
            last, total = entry.number, total + entry.readings
        now_done = _normalise(max(acknowledged, before.acknowledged), {*before.done, *done})
        progress = Progress(last, total, *now_done)
        parts.append(records.encode_progress(records.STATE, progress))
        try:
            self._remove_delivered(progress.acknowledged)
            if self._current is not None and not self._current.file.is_in_place():
                self.check()  # what is written into a file without a name is lost with the process
            segment = self._writable()
            self._append(segment, b"".join(parts))
        except OSError as error:
            raise self._error(error) from None
        self._progress = progress
        segment.last, segment.total = last, total
        with contextlib.suppress(OSError):  # it only helps to count damage
            self._state.write(progress, self._clocks.boot)
        with contextlib.suppress(OSError):  # the next commit tries again
            self._remove_all_delivered()

    def load(self, after: int, limit: int, max_bytes: int) -> Page:
        """The next messages behind a number; damaged ones are left out and counted.

        Parameters:
            after: the number of the last one loaded.
            limit: most messages.
            max_bytes: loads no more when it has so many bytes of them.
        """
        page = self._reader.load(self._segments, self._progress, after, (limit, max_bytes))
        if self._current not in self._segments:
            self._current = None
        return page

    def check(self) -> None:
        """Writes again what another program has removed: what is open can still be read."""
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
                self._state.write(self._progress, self._clocks.boot)
        except OSError as error:
            raise self._error(error) from None

    def close(self) -> None:
        """Ends its use; when nothing is left to be delivered nothing is left on disk."""
        with contextlib.suppress(Exception):
            if self._lock is not None and self._is_all_delivered():
                self._remove_all()
            elif self._lock is not None and self._current is not None:
                self._current.file.sync()
                self._state.write(self._progress, self._clocks.boot, sync=True)
        self._release()

    def _close_files(self) -> None:
        self._state.close()
        for segment in self._segments:
            with contextlib.suppress(OSError):
                segment.file.close()
        self._segments, self._current = [], None
        self._reader.restart()

    def _release(self) -> None:
        self._close_files()
        lock, self._lock = self._lock, None
        if lock is not None:
            self._disk.unlock(lock)

    def _recover(self) -> Recovery:
        give_up = self._failures >= GIVE_UP_AFTER
        options = RecoveryOptions(self._disk, self._clocks.boot, self._state, synced=self._sync, give_up=give_up)
        found = recover(self.folder, options)
        self._segments, self._serial = found.segments, found.serial
        self._progress = Progress(found.last, found.total, *_normalise(found.acknowledged, found.done))
        return found

    def _import(self, old: Path) -> None:
        from .sqlite_import import import_database  # noqa: PLC0415 - a megabyte that is needed once

        def add(entries: list[Entry]) -> None:
            for number, entry in enumerate(entries, self._progress.last + 1):
                entry.number = number
            self.commit(entries, 0)

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
        self._serial += 1  # whatever happens: the name of a file that was begun is not used again
        path = self.folder / segment_name(self._serial)
        file = self._disk.create(path)
        segment = Segment(self._serial, file, 0, self._progress[:2])
        segment.boot = self._clocks.boot
        head = records.encode_progress(records.SEGMENT, self._progress, segment.boot)
        try:
            self._append(segment, head)
            if self._sync:
                self._disk.sync_folder(self.folder)
        except Exception:
            with contextlib.suppress(Exception):
                file.close()
                self._disk.remove(path)
            raise
        self._segments.append(segment)
        self._current = segment
        return segment

    def _append(self, segment: Segment, data: bytes) -> None:
        try:
            segment.file.write(data, segment.size)
            if self._sync:
                segment.file.sync()
        except Exception:
            if segment is self._current:
                self._current = None  # what comes after a part of this goes into the next one
            with contextlib.suppress(Exception):
                segment.file.truncate(segment.size)
            raise
        segment.size += len(data)

    def _remove_delivered(self, acknowledged: int) -> None:
        """All files but the newest, which has the newest statement about what is acknowledged."""
        while len(self._segments) > 1 and self._segments[0].last <= acknowledged:
            self._remove(self._segments[0])

    def _remove_all_delivered(self) -> None:
        """Nothing is left: what has grown is given back."""
        current = self._current
        if current is not None and self._is_all_delivered() and current.size >= self._segment_bytes // 4:
            self._remove_all()

    def _is_all_delivered(self) -> bool:
        return self._progress.last <= self._progress.acknowledged

    def _remove_all(self) -> None:
        self._state.remove()
        while self._segments:
            self._remove(self._segments[0])
        self._current = None

    def _remove(self, segment: Segment) -> None:
        self._segments.remove(segment)
        segment.file.close()
        self._disk.remove(segment.file.path)

    def _write_anew(self, segment: Segment) -> None:
        path, size = segment.file.path, min(segment.size, segment.file.size())
        self._disk.remove(path)
        copy = self._disk.create(path)
        try:
            for at in range(0, size, 1 << 20):
                copy.write(segment.file.read(min(1 << 20, size - at), at), at)
            copy.sync()
        except Exception:
            with contextlib.suppress(Exception):
                copy.close()
                self._disk.remove(path)
            raise
        segment.file.close()
        segment.file = copy
        log.error("%s was removed by another program; it is written again", path)


def _normalise(acknowledged: int, done: Iterable[tuple[int, int]]) -> tuple[int, Ranges]:
    """Ranges right behind what is acknowledged are acknowledged with it."""
    left = sorted(each for each in done if each[1] > acknowledged)
    while left and left[0][0] <= acknowledged + 1:
        acknowledged = max(acknowledged, left.pop(0)[1])
    return acknowledged, left
