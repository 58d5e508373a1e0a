"""Reads the outbox's messages from disk page by page; what has been damaged since is counted, and its file kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ...clocks import Clocks
from ..entry import Entry, StoreError, size_of
from .disk import Disk
from .records import Chain, LayoutError, Lost, Progress, Record
from .segments import Segment, is_live
from .set_aside import choose_name, remove_oldest

log = logging.getLogger("device_bridge")

GIVE_UP_AFTER = 3
"""Attempts to read a file, each some seconds after the one before."""


class Page(NamedTuple):
    """Some messages in order, and how many among them were damaged."""

    entries: list[Entry]
    last: int
    damaged_messages: int = 0
    damaged_readings: int = 0


class Reader:
    """Goes on where its last page ended.

    Parameters:
        folder: of the outbox.
        disk: the file system.
        clocks: to tell how old messages of an earlier boot are.
    """

    def __init__(self, folder: Path, disk: Disk, clocks: Clocks) -> None:
        self._folder, self._disk, self._clocks = folder, disk, clocks
        self._cursor: tuple[Segment, int, Chain] | None = None

    def restart(self) -> None:
        """Other files are there."""
        self._cursor = None

    def load(self, segments: list[Segment], progress: Progress, after: int, most: tuple[int, int]) -> Page:
        """The next messages behind a number. Raises StoreError.

        Parameters:
            segments: the files; one that cannot be read at last is removed from them.
            progress: what is done with.
            after: the number of the last one loaded.
            most: messages, and bytes that they count for, after which no more are loaded.
        """
        entries: list[Entry] = []
        lost: list[Lost] = []
        last, left_bytes, acknowledged = after, most[1], max(after, progress.acknowledged)
        for segment in list(segments):
            if segment.last <= last:
                continue
            try:
                for record in self._read(segment, progress, last, lost):
                    if is_live(record, acknowledged, progress.done):
                        entries.append(record.to_entry(self._since(segment, record)))
                        left_bytes -= size_of(entries[-1])
                    last = record.number
                    if len(entries) >= most[0] or left_bytes <= 0:
                        return self._page(segments, progress, after, Page(entries, last), lost)
            except (OSError, LayoutError) as error:
                if entries or lost:
                    break  # the error comes again with the next page
                lost += self._try_again(segments, segment, progress, after, error)
            last = segment.last
        return self._page(segments, progress, after, Page(entries, last), lost)

    def _read(self, segment: Segment, progress: Progress, after: int, lost: list[Lost]) -> Iterator[Record]:
        """Messages of a segment; what is missing between them is added."""
        done = max(after, progress.acknowledged), progress.done
        if self._cursor is not None and self._cursor[0] is segment and self._cursor[2].last == after:
            _, at, chain = self._cursor
        else:
            at, chain = 0, Chain(*segment.first)
        missing: list[Lost] = []
        for _, end, record, lost_before, is_new in segment.walk(at, chain):
            if lost_before is not None:
                missing.append(lost_before)
            if is_new and record is not None and record.number > after:
                self._cursor = segment, end, chain
                if missing:
                    lost += [left for each in missing if (left := each.beyond(*done))]
                    missing.clear()
                yield record
        if (rest := chain.go_to(segment.last, segment.total)) is not None:
            missing.append(rest)
        lost += [left for each in missing if (left := each.beyond(*done))]
        self._cursor = None

    def _page(self, segments: list[Segment], progress: Progress, after: int, page: Page, lost: list[Lost]) -> Page:
        if not lost:
            return page
        elsewhere = [each for each in lost if not any(segment.holds(each) for segment in segments)]
        for segment in segments:
            if here := [each for each in lost if segment.holds(each)]:
                gaps = self._repair(segment)
                done = max(after, progress.acknowledged), progress.done
                elsewhere += here if gaps is None else [left for gap in gaps if (left := gap.beyond(*done))]
        messages, readings = sum(each.messages for each in elsewhere), sum(each.readings for each in elsewhere)
        log.error("%s: %d messages are damaged and left out", self._folder, messages)
        return Page(page.entries, page.last, messages, readings)

    def _repair(self, segment: Segment) -> list[Lost] | None:
        """So that what is counted now is not counted again, later or by the next run; returns what that is."""
        self._cursor = None
        try:
            aside = choose_name(self._disk, segment.file.path)
            gaps = segment.repair(self._disk, aside)
            log.error("%s was damaged; it is kept as %s", segment.file.path, aside.name)
            remove_oldest(self._disk, self._folder)
        except (OSError, LayoutError):
            return None
        return gaps

    def _try_again(
        self, segments: list[Segment], segment: Segment, progress: Progress, after: int, error: Exception
    ) -> list[Lost]:
        """Raises StoreError for the first attempts; then keeps the file under another name, and tells what it had."""
        segment.failures += 1
        self._cursor = None
        if segment.failures < GIVE_UP_AFTER:
            raise StoreError(f"{segment.file.path}: {error}") from None
        segments.remove(segment)
        with suppress(OSError):
            aside = choose_name(self._disk, segment.file.path)
            self._disk.rename(segment.file.path, aside)
            log.error("%s cannot be read (%s); it is kept as %s", segment.file.path, error, aside.name)
        with suppress(OSError):
            segment.file.close()
        whole = Chain(*segment.first).go_to(segment.last, segment.total)
        left = whole.beyond(max(after, progress.acknowledged), progress.done) if whole is not None else None
        return [left] if left is not None else []

    def _since(self, segment: Segment, record: Record) -> float:
        if segment.boot == self._clocks.boot:
            return record.since
        return self._clocks.since_boot() - max(0.0, self._clocks.wall() - record.put_at)
