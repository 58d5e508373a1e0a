"""Cuts a stream of bytes into frames. No I/O.

Every framer finds its way again after garbage, which costs at most the frame it falls into, and holds a bounded
number of bytes. A frame with a checksum is given only when that is right, and without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..errors import SettingsError
from .delimited import Cobs, Delimited, Ended, Slip
from .escapes import unescaped
from .framer import Framer
from .framing_settings import (
    CobsFraming,
    DelimiterFraming,
    FixedFraming,
    Framing,
    IdleFraming,
    LengthFraming,
    LineFraming,
    MarksFraming,
    SlipFraming,
)

_MAX_STARTS = 16
"""Places that are tried as the start of a frame whose checksum is to decide."""
_CHECKED_SHARE = 64
"""Bytes covered by a checksum for each byte that comes, at most, where nothing but the checksum shows a frame."""


class _Marks(Framer):
    """Frames between marks. Without a checksum a frame goes from the last start to the first end behind it.

    With one, data may hold either mark: a frame goes from any of the last starts to any end where that is right.
    """

    def __init__(self, settings: MarksFraming) -> None:
        super().__init__(settings)
        self._start = unescaped(settings.start, "framing.start")
        self._end = unescaped(settings.end, "framing.end")
        self._after, self._keep_marks = settings.after, settings.keep_marks
        marks = len(self._start) + len(self._end)
        self._longest = settings.max_length + marks + self._after + (self._checksum.size if self._checksum else 0)
        self._tried = 0
        """Bytes of the buffer in which every end mark has been tried."""
        self._has_failed = False

    def clear(self) -> None:
        super().clear()
        self._tried, self._has_failed = 0, False

    def feed(self, data: bytes, now: float = 0.0) -> list[bytes]:
        self._buffer += data
        found = list[bytes]()
        while (end := self._buffer.find(self._end, self._tried)) >= 0:
            behind = end + len(self._end) + self._after
            if len(self._buffer) < behind:
                break
            frame = self._frame(end)
            if frame is not None:
                found.append(frame)
            if frame is not None or self._checksum is None:
                self._buffer, self._tried, self._has_failed = self._buffer[behind:], 0, False
                continue
            self._tried = end + 1
            rest = self._buffer[behind:].lstrip(b"\r\n")
            if self._has_failed and (not rest or rest.startswith(self._start)):
                self.garbled += 1  # a whole frame, by its marks
                self._has_failed = False
        self._trim()
        return found

    def _frame(self, end: int) -> bytes | None:
        """The frame that ends here."""
        stop, start = end, end
        for _ in range(_MAX_STARTS if self._checksum else 1):
            start = self._buffer.rfind(self._start, 0, stop)
            if start < 0:
                break
            behind = end + len(self._end)
            after = self._buffer[behind : behind + self._after]
            if self._keep_marks:
                frame = self._buffer[start:behind] + after
            else:
                frame = self._buffer[start + len(self._start) : end] + after
            checked = self._checksum.strip(frame) if self._checksum else frame
            if checked is not None and len(checked) <= self._max_length:
                self.garbled += self._has_failed and self._buffer.find(self._start) < start
                return checked
            self._has_failed = True
            stop = start + len(self._start) - 1
        self.garbled += self._checksum is None and self._has_failed
        return None

    def _trim(self) -> None:
        """Forgets what can be no part of a frame any more."""
        first = max(0, len(self._buffer) - self._longest)
        start = self._buffer.find(self._start, first)
        if start < 0:  # the start mark may have begun
            start = max(first, len(self._buffer) - len(self._start) + 1)
        if self._checksum is None:
            start = max(start, self._buffer.rfind(self._start))
        if first and 0 <= self._buffer.find(self._start) < start:
            self.garbled += 1
            self._has_failed = False
        self._buffer = self._buffer[start:]
        self._tried = max(0, self._tried - start)


class _Sliding(Framer):
    """Frames known by what they start with and how long they are; after a wrong one it tries from the next byte."""

    def __init__(self, settings: FixedFraming | LengthFraming) -> None:
        super().__init__(settings)
        self._settings = settings
        self._start = unescaped(settings.start, "framing.start")
        self._end = unescaped(settings.end, "framing.end")
        self._longest = settings.max_length + (self._checksum.size if self._checksum else 0)
        self._step = 1
        if isinstance(settings, FixedFraming):
            if settings.length > self._longest:
                remedy = f"Write max_length = {settings.length} too, or a shorter length."
                raise SettingsError("framing.length", settings.length, "is more than max_length", remedy)
            if self._checksum and not self._start:
                self._step = _step(settings.length)

    def feed(self, data: bytes, now: float = 0.0) -> list[bytes]:
        buffer, at, found = self._buffer + data, 0, list[bytes]()
        while True:
            at = self._next_start(buffer, at)
            size = self._size(buffer, at)
            if size is None or (size > 0 and len(buffer) - at < size):
                break
            frame = buffer[at : at + size]
            accepted = self._accepted(frame if size > 0 and frame.endswith(self._end) else None)
            found += accepted
            at += size if accepted else self._step
        self._buffer = buffer[at:]
        return found

    def _next_start(self, buffer: bytes, at: int) -> int:
        if not self._start:
            return at
        start = buffer.find(self._start, at)
        return start if start >= 0 else max(at, len(buffer) - len(self._start) + 1)

    def _size(self, buffer: bytes, at: int) -> int | None:
        """Bytes of the frame at this place: None while that is unknown, 0 when there can be none."""
        settings = self._settings
        if isinstance(settings, FixedFraming):
            return settings.length
        field = at + settings.offset
        end = field + settings.size
        if len(buffer) < max(end, at + len(self._start)):
            return None
        size = end - at + int.from_bytes(buffer[field:end], settings.byte_order) + settings.extra
        return size if end - at <= size <= self._longest else 0


def _step(length: int) -> int:
    """Bytes from a place without a frame to the next that is tried.

    More than one keeps noise from costing a checksum of long frames for each byte; no divisor of the length, so that
    every phase of a run of frames is tried in the end.
    """
    step = max(1, length // _CHECKED_SHARE)
    while math.gcd(step, length) > 1:
        step += 1
    return step


class _Idle(Framer):
    def __init__(self, settings: IdleFraming) -> None:
        super().__init__(settings)
        self._gap_s = settings.gap
        self._last = 0.0
        self._longest = settings.max_length + (self._checksum.size if self._checksum else 0)
        self._overlong = False

    def begin_within_frame(self) -> None:
        self._overlong = self._checksum is None

    def feed(self, data: bytes, now: float = 0.0) -> list[bytes]:
        found = self.flush(now)
        self._last = now
        self._buffer += data
        if len(self._buffer) > self._longest:
            self._overlong = True
            self._buffer = self._buffer[: self._longest]
        return found

    def flush(self, now: float) -> list[bytes]:
        if not self._buffer or now - self._last < self._gap_s:
            return []
        frame, self._buffer = self._buffer, b""
        overlong, self._overlong = self._overlong, False
        return self._accepted(None if overlong else frame)


def framer_for(settings: Framing) -> Framer:
    """The framer that settings describe. Raises SettingsError for what cannot be."""
    longest = settings.max_length + 8
    match settings:
        case LineFraming():
            return Delimited(settings, lambda data: data.replace(b"\r", b"\n").split(b"\n"), longest)
        case DelimiterFraming() if settings.after or settings.leave_out:
            return Ended(settings)
        case DelimiterFraming():
            return Delimited(settings, _splitter(unescaped(settings.delimiter, "framing.delimiter")), longest)
        case SlipFraming():
            return Slip(settings, _splitter(b"\xc0"), 2 * longest)
        case CobsFraming():
            return Cobs(settings, _splitter(b"\x00"), longest + longest // 254 + 1)
        case MarksFraming():
            return _Marks(settings)
        case IdleFraming():
            return _Idle(settings)
        case _:
            return _Sliding(settings)


def _splitter(end: bytes) -> Callable[[bytes], list[bytes]]:
    return lambda data: data.split(end)
