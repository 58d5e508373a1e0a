"""Finds what earlier runs have left, counts what is missing, and tells what is torn from what is damaged."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .disk import Disk
from .records import ENTRY, SEGMENT, STATE, Chain, LayoutError, Lost, Ranges, Record
from .segments import Segment, is_live, serial_of
from .set_aside import choose_name
from .state_file import StateFile, Written

log = logging.getLogger("device_bridge")

DAMAGED, TORN = "damaged on disk", "torn at the end"
"""Why messages are missing: something has changed what was written; or it had not been written to its end when the
process was killed, or had not reached the disk when power was cut."""


@dataclass(frozen=True)
class RecoveryOptions:
    """How to judge what is found.

    Parameters:
        disk: the file system.
        boot: the present one.
        state: what is known to have been written.
        synced: whether each commit reached the disk before the state was written.
        give_up: whether to set a file aside that cannot be read.
    """

    disk: Disk
    boot: str
    state: StateFile
    synced: bool
    give_up: bool


@dataclass
class Recovery:
    """What is on disk.

    Parameters:
        segments: the files, oldest first.
        serial: of the newest file.
        last, total: number of the last message put, readings in all that were.
        acknowledged, done: messages up to this number are done with, and these.
        messages, readings, size: still to be delivered; bytes of them.
        oldest: the first of them: its `put_at` and `since`, and the boot in which it was put.
        lost: readings that are missing, by reason.
        streams: messages, readings and bytes still to be delivered, of streams that have a name.
    """

    segments: list[Segment] = field(default_factory=list)
    serial: int = 0
    last: int = 0
    total: int = 0
    acknowledged: int = 0
    done: Ranges = ()
    messages: int = 0
    readings: int = 0
    size: int = 0
    oldest: tuple[float, float, str] | None = None
    lost: dict[str, int] = field(default_factory=dict)
    streams: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def count(self, segment: Segment, record: Record) -> None:
        """Counts a message that is still to be delivered."""
        self.messages += 1
        self.readings += record.readings
        self.size += len(record.payload)
        if stream := record.mark.partition(b"\0")[2].decode("utf-8", "replace"):
            messages, readings, size = self.streams.get(stream, (0, 0, 0))
            self.streams[stream] = messages + 1, readings + record.readings, size + len(record.payload)
        if self.oldest is None:
            self.oldest = record.put_at, record.since, segment.boot

    def miss(self, lost: Iterable[Lost], reason: str) -> bool:
        """Counts what is missing and was not done with; returns whether there was something."""
        left = [rest for each in lost if (rest := each.beyond(self.acknowledged, self.done))]
        if left:
            self.lost[reason] = self.lost.get(reason, 0) + sum(each.readings for each in left)
        return bool(left)


def recover(folder: Path, options: RecoveryOptions) -> Recovery:
    """What is in a folder. Files that are damaged are repaired, and kept as they were under another name.

    Raises OSError.
    """
    found, disk = Recovery(), options.disk
    try:
        for name in disk.names(folder):
            if (serial := serial_of(name)) is not None:
                found.serial = serial
                _open_segment(folder / name, found, options)
            elif name.endswith(".repaired"):
                disk.remove(folder / name)
        written = options.state.read()
        found.acknowledged = max(found.acknowledged, written.acknowledged)
        end: tuple[int | None, int] = None, 0
        for segment in found.segments:
            is_newest = segment is found.segments[-1]
            end = _survey(segment, end, found, options, written if is_newest else None)
    except Exception:
        for segment in found.segments:
            segment.file.close()
        raise
    found.last, found.total = end[0] or 0, end[1]
    if not found.segments and written.last:  # all files were removed
        found.miss([Lost(1, written.last, written.total, written.last)], DAMAGED)
        options.state.remove()
        found.acknowledged = 0
    found.last = max(found.last, found.acknowledged)
    return found


def _open_segment(path: Path, found: Recovery, options: RecoveryOptions) -> None:
    """Adds a segment and its newest statement about what is done with; what cannot be read is set aside."""
    disk = options.disk
    file = disk.open(path)
    segment = Segment(found.serial, file, 0, (None, 0))
    found.segments.append(segment)
    try:
        segment.size = file.size()
        state = segment.find_state()
    except (OSError, LayoutError) as error:
        if isinstance(error, OSError) and not options.give_up:
            raise
        found.segments.remove(segment)
        file.close()
        aside = choose_name(disk, path)
        disk.rename(path, aside)
        log.error("%s cannot be read (%s); it is kept as %s", path, error, aside.name)
        return
    if state is not None:
        found.acknowledged, found.done = state


def _survey(
    segment: Segment,
    before: tuple[int | None, int],
    found: Recovery,
    options: RecoveryOptions,
    written: Written | None,
) -> tuple[int | None, int]:
    """Reads one segment; returns the number of its last message, and the readings up to it.

    Parameters:
        segment: to be read.
        before: the same of the segment before.
        found: what has been found so far, and is added to.
        options: how to judge it.
        written: what is known to have been written, for the newest segment.
    """
    segment.first = before
    chain = Chain(*before)
    doubtful: list[Lost] = []
    has_bad_tail = is_damaged = False
    kind = SEGMENT
    may_be_torn = written is not None and (written.boot or segment.boot) != options.boot
    for _, _, record, lost, is_new in segment.walk(0, chain):
        if lost is not None:
            doubtful.append(lost)
        if record is None or not record.is_whole:
            has_bad_tail = True
            continue
        is_later_commit = kind == STATE and record.kind == ENTRY and options.synced
        if doubtful and (is_later_commit or not may_be_torn):
            is_damaged |= found.miss(doubtful, DAMAGED)
            doubtful.clear()
        kind, has_bad_tail = record.kind, False
        if segment.first[0] is None:
            segment.first = record.numbers_before(), record.before
            if missing := _missing_before(segment.first, found):
                segment.first = missing.first - 1, record.before - missing.readings
                doubtful.append(missing)
        if is_new and is_live(record, found.acknowledged, found.done):
            found.count(segment, record)
    is_torn = written is not None and _was_torn(segment, chain, written, options)
    known = max(chain.claimed, (written.last, written.total) if written is not None else (0, 0))
    if chain.last is None and (missing := _missing_before(known, found)):  # nothing whole is in it
        segment.first = missing.first - 1, known[1] - missing.readings
        doubtful.append(missing)
    if (lost := chain.go_to(*known)) is not None:
        doubtful.append(lost)
    is_short = found.miss(doubtful, TORN if is_torn else DAMAGED)
    segment.last, segment.total = chain.last or 0, chain.total
    is_damaged |= (has_bad_tail or is_short) and not is_torn
    if is_damaged or has_bad_tail or is_short:
        _repair(segment, options.disk, is_damaged=is_damaged)
    return chain.last, chain.total


def _missing_before(first: tuple[int, int], found: Recovery) -> Lost | None:
    """What is missing before the first message that is there."""
    last, total = first
    return Lost(1, last, total, last).beyond(found.acknowledged) if last else None


def _was_torn(segment: Segment, chain: Chain, written: Written, options: RecoveryOptions) -> bool:
    """Whether what is missing at the end had not been written to its end, or had not reached the disk."""
    if written.commits and (options.synced or written.boot == options.boot):
        return (chain.last or 0) >= written.last
    return (written.boot or segment.boot) != options.boot


def _repair(segment: Segment, disk: Disk, *, is_damaged: bool) -> None:
    with contextlib.suppress(OSError):
        path = segment.file.path
        aside = choose_name(disk, path)
        segment.repair(disk, aside)
        if is_damaged:
            log.error("%s was damaged; it is kept as %s", path, aside.name)
        else:
            log.warning("%s had not been written to its end; it is kept as %s", path, aside.name)
