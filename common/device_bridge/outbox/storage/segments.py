"""One file of the outbox's folder: messages one behind another, and what is known of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from .disk import Disk, DiskFile
from .records import ENTRY, SEGMENT, STATE, Chain, Lost, Ranges, Record, encode_gap, scan

_NAME = re.compile(r"(\d{10})\.segment")


def segment_name(serial: int) -> str:
    """Name of the file with this serial number."""
    return f"{serial:010d}.segment"


def serial_of(name: str) -> int | None:
    """Serial number of a file with this name, None for another kind of file."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


Step: TypeAlias = tuple[int, int, Record | None, Lost | None, bool]
"""A stretch as of `scan`, what is missing before it, and whether it is a message that has not come before."""


class Segment:
    """A file with messages.

    Parameters:
        serial: position among the files.
        file: open.
        size: bytes in it.
        first: number of the last message before it, None when that is not known, and readings in all before it.
    """

    def __init__(self, serial: int, file: DiskFile, size: int, first: tuple[int | None, int]) -> None:
        self.serial, self.file, self.size = serial, file, size
        self.first = first
        self.last, self.total = first[0] or 0, first[1]
        self.boot = ""
        self.failures = 0
        """How often it could not be read."""

    def holds(self, lost: Lost) -> bool:
        """Whether these are messages of this file."""
        return (self.first[0] or 0) < lost.last and lost.first <= self.last

    def walk(self, at: int, chain: Chain) -> Iterator[Step]:
        """What it holds from a place on. Raises OSError and LayoutError."""
        for start, end, record in scan(self.file.read, self.size, at):
            if record is None:
                yield start, end, None, None, False
                continue
            before = chain.last
            is_message = record.kind == ENTRY and record.is_whole
            lost = chain.follow(record)
            yield start, end, record, lost, is_message and (before is None or record.number > before)

    def find_state(self) -> tuple[int, Ranges] | None:
        """The newest statement about what is done with. Raises OSError and LayoutError."""
        acknowledged: tuple[int, Ranges] | None = None
        for _, _, record in scan(self.file.read, self.size):
            if record is not None and record.is_whole and record.kind in (STATE, SEGMENT):
                acknowledged = record.acknowledged()
                if record.kind == SEGMENT:
                    self.boot = record.mark.decode("utf-8", "replace")
        return acknowledged

    def repair(self, disk: Disk, aside: Path) -> list[Lost]:
        """Puts a copy in its place that has a record of what is missing, and returns that.

        The file itself is kept under another name.

        Raises OSError.
        """
        path = self.file.path
        copy_path = path.with_suffix(".repaired")
        disk.remove(copy_path)
        copy, size = disk.create(copy_path), 0
        chain, gaps = Chain(*self.first), list[Lost]()

        def add(data: bytes) -> None:
            nonlocal size
            copy.write(data, size)
            size += len(data)

        def add_gap(lost: Lost, before: int) -> None:
            gaps.append(lost)
            add(encode_gap(lost.first, lost.last, lost.readings, before))

        try:
            last_total = chain.total
            for at, end, record, lost, _ in self.walk(0, chain):
                if record is None or not record.is_whole:
                    continue
                if lost is not None:
                    add_gap(lost, record.before - lost.readings)
                add(self.file.read(end - at, at))
                last_total = chain.total
            if (lost := chain.go_to(self.last, self.total)) is not None:
                add_gap(lost, last_total)
            copy.sync()
            disk.link(path, aside)
            disk.rename(copy_path, path)  # at every moment there is one or the other file of this name
        except Exception:
            with suppress(Exception):
                copy.close()
                disk.remove(copy_path)
            raise
        copy.path = path
        self.file.close()
        self.file, self.size = copy, size
        disk.sync_folder(path.parent)
        return gaps


def is_live(record: Record, acknowledged: int, done: Ranges) -> bool:
    """Whether a record is a message that is still to be delivered."""
    number = record.number
    if record.kind != ENTRY or number <= acknowledged:
        return False
    return not done or not any(first <= number <= last for first, last in done)
