"""The records of the outbox's files, which say what came before them, so that what is missing is counted. No I/O.

A record is a head of 56 bytes, big-endian, then the clock's mark, then the payload:

    sync "\\xf5IoF" | kind, length of the mark: 1 byte each | layout: 2 | size of the payload, readings: 4 each |
    number, readings before it: 8 each | put at, seconds since boot: 8 each | CRC-32 of mark and payload, of the head

The mark of a message that belongs to a stream is followed by a NUL and the stream's name.

Every record tells how many messages and readings came before it. So the first one behind a damaged place tells what
was there, and damage costs what it has hit, no more.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from ..entry import Entry

LAYOUT = 1
SEGMENT, ENTRY, STATE, GAP = 1, 2, 3, 4
"""Kinds: the first of a file, a message, the end of a commit, and what is known to be missing."""
_SYNC = b"\xf5IoF"
_HEAD = struct.Struct(">4sBBHIIQQddI")
_CRC = struct.Struct(">I")
HEAD_SIZE = _HEAD.size + _CRC.size
_NUMBER = struct.Struct(">Q")
_RANGE = struct.Struct(">QQ")
_CHUNK = 64 * 1024

Ranges = Sequence[tuple[int, int]]
"""Of numbers, both ends included."""


class Progress(NamedTuple):
    """What has been written, and what is done with.

    Parameters:
        last, total: number of the last message put, readings in all that were.
        acknowledged: messages up to this number are done with.
        done: and these.
    """

    last: int = 0
    total: int = 0
    acknowledged: int = 0
    done: Ranges = ()


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record.

    Parameters:
        kind: SEGMENT, ENTRY, STATE or GAP.
        number: of the message; the last one put so far, or missing.
        readings: in the message, or missing.
        before: readings in all messages before.
        mark: the clock's mark; of a SEGMENT the boot in which it was begun.
        payload: the message; of STATE and SEGMENT what is done with; of a GAP its first number.
        put_at, since: as of an Entry.
        is_whole: whether mark and payload are as they were written.
    """

    kind: int
    number: int
    readings: int
    before: int
    mark: bytes
    payload: bytes
    put_at: float = 0.0
    since: float = 0.0
    is_whole: bool = True

    def numbers_before(self) -> int:
        """The last number before this record."""
        if self.kind == ENTRY:
            return self.number - 1
        return int(_NUMBER.unpack(self.payload)[0]) - 1 if self.kind == GAP else self.number

    def to_entry(self, since: float) -> Entry:
        """The message."""
        clock, _, stream = self.mark.decode("utf-8", "replace").partition("\0")
        return Entry(self.number, self.payload, self.readings, since, clock, self.put_at, stream)

    def acknowledged(self) -> tuple[int, Ranges]:
        """Up to which number messages are done with, and which others are; of STATE and SEGMENT."""
        ranges = [(first, last) for first, last in _RANGE.iter_unpack(self.payload[_NUMBER.size :])]
        return _NUMBER.unpack_from(self.payload)[0], ranges

    def encode(self) -> bytes:
        """Its bytes."""
        counts = self.readings, self.number, self.before
        return _encode(self.kind, counts, self.mark, self.payload, (self.put_at, self.since))


def _encode(
    kind: int, counts: tuple[int, int, int], mark: bytes, payload: bytes, times: tuple[float, float]
) -> bytes:
    crc = zlib.crc32(payload, zlib.crc32(mark))
    head = _HEAD.pack(_SYNC, kind, len(mark), LAYOUT, len(payload), *counts, *times, crc)
    return head + _CRC.pack(zlib.crc32(head)) + mark + payload


def encode_entry(entry: Entry, before: int) -> bytes:
    """The record of a message, behind so many readings."""
    mark = (f"{entry.clock}\0{entry.stream}" if entry.stream else entry.clock).encode()
    counts = entry.readings, entry.number, before
    return _encode(ENTRY, counts, mark, entry.body, (entry.put_at, entry.since))


def encode_progress(kind: int, progress: Progress, boot: str = "") -> bytes:
    """The STATE that ends a commit, or the SEGMENT that begins a file in this boot."""
    payload = _NUMBER.pack(progress.acknowledged) + b"".join(_RANGE.pack(*each) for each in progress.done)
    return Record(kind, progress.last, 0, progress.total, boot.encode(), payload).encode()


def encode_gap(first: int, last: int, readings: int, before: int) -> bytes:
    """The record in the place of messages that are missing and have been counted."""
    return Record(GAP, last, readings, before, b"", _NUMBER.pack(first)).encode()


Found: TypeAlias = tuple[int, int, Record | None]
"""A stretch of a file: where it is, where it ends, and its record or None for bytes that are none."""


def scan(read: Callable[[int, int], bytes], size: int, at: int = 0) -> Iterator[Found]:
    """What a file holds, from a place on; behind bytes that are no record it goes on with the next one.

    Parameters:
        read: gives so many bytes from a place.
        size: of the file.
        at: where to begin.
    """
    window = _Window(read, size)
    while at < size:
        record, end = _read_record(window, at)
        if record is None:
            end = _find_record(window, at + 1)
        yield at, end, record
        at = end


class _Window:
    """Bytes of a file, read by chunks."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self.size = read, size
        self._chunk, self._from = b"", 0

    def find(self, at: int, size: int) -> tuple[bytes, int]:
        """Bytes that hold so many from a place on, unless the file ends before, and where among them it is."""
        start = at - self._from
        if start < 0 or start + size > len(self._chunk):
            self._chunk, self._from, start = self._read(min(max(size, _CHUNK), self.size - at), at), at, 0
        return self._chunk, start

    def get(self, at: int, size: int) -> bytes:
        """So many bytes, fewer at the end of the file."""
        chunk, start = self.find(at, size)
        return chunk[start : start + size]


def _read_record(window: _Window, at: int) -> tuple[Record | None, int]:
    """The record at a place and where it ends; None where there is none."""
    chunk, start = window.find(at, HEAD_SIZE)
    if len(chunk) < start + HEAD_SIZE or not chunk.startswith(_SYNC, start):
        return None, at
    if zlib.crc32(chunk[start : start + _HEAD.size]) != _CRC.unpack_from(chunk, start + _HEAD.size)[0]:
        return None, at
    _, kind, mark_size, layout, size, readings, number, before, put_at, since, crc = _HEAD.unpack_from(chunk, start)
    if layout != LAYOUT:
        raise LayoutError(layout)
    end = at + HEAD_SIZE + mark_size + size
    if end > window.size:
        return Record(kind, number, readings, before, b"", b"", is_whole=False), at + HEAD_SIZE
    content = window.get(at + HEAD_SIZE, mark_size + size)
    is_whole = zlib.crc32(content) == crc
    mark, payload = content[:mark_size], content[mark_size:]
    return Record(kind, number, readings, before, mark, payload, put_at, since, is_whole), end


def _find_record(window: _Window, at: int) -> int:
    """Where the next head begins; the end of the file when there is none."""
    while at < window.size:
        chunk = window.get(at, min(_CHUNK, window.size - at))
        found = chunk.find(_SYNC)
        if found < 0:
            at += max(1, len(chunk) - len(_SYNC) + 1)
        elif _read_record(window, at + found)[0] is not None:
            return at + found
        else:
            at += found + 1
    return window.size


class LayoutError(Exception):
    """The file was written by a version that writes another layout."""

    def __init__(self, layout: int) -> None:
        super().__init__(f"its layout is {layout}, this program reads {LAYOUT}")


class Lost(NamedTuple):
    """Messages that are missing.

    Parameters:
        first, last: their numbers.
        readings: in all of them.
        messages: how many.
    """

    first: int
    last: int
    readings: int
    messages: int

    def beyond(self, acknowledged: int, done: Ranges = ()) -> Lost | None:
        """Without those that were done with; None when all were."""
        first = max(self.first, acknowledged + 1)
        messages = (
            self.last - first + 1 - sum(max(0, min(end, self.last) - max(start, first) + 1) for start, end in done)
        )
        if messages <= 0:
            return None
        share = messages / (self.last - self.first + 1)
        return Lost(first, self.last, round(self.readings * share), messages)


class Chain:
    """Follows the numbers and counts from record to record, and tells what is missing between two.

    Parameters:
        last: number of the message before; None for whatever the first record says.
        total: readings in all messages before.
    """

    def __init__(self, last: int | None = None, total: int = 0) -> None:
        self.last, self.total = last, total
        self.claimed = (last or 0, total)
        """Number and count that a damaged record has, whose head is whole."""

    def follow(self, record: Record) -> Lost | None:
        """Goes on to a record; returns what is missing before it."""
        if not record.is_whole:
            if record.kind == ENTRY:
                self.claimed = max(self.claimed, (record.number, record.before + record.readings))
            return None
        lost = self.go_to(record.numbers_before(), record.before)
        if record.kind in (ENTRY, GAP) and record.number > (self.last or 0):
            self.last, self.total = record.number, record.before + record.readings
        return lost

    def go_to(self, last: int, total: int) -> Lost | None:
        """Goes on to where so much is known to have been put; returns what is missing before."""
        if self.last is None:
            self.last, self.total = last, total
        if last <= self.last:
            return None
        lost = Lost(self.last + 1, last, max(0, total - self.total), last - self.last)
        self.last, self.total = last, total
        return lost
