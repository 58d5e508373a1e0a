"""Cuts a stream of bytes into frames. No I/O.

Every framer finds its way again after garbage, which costs at most the frame it falls into, and holds a bounded
number of bytes. A frame with a checksum is given only when that is right, and without it.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from msgspec import Meta

from ..settings.base import Settings
from .checksums import Checksum, ChecksumSettings

MaxLength = Annotated[int, Meta(ge=1, le=1024 * 1024, description="bytes of the longest frame")]
Mark = Annotated[str, Meta(min_length=1, max_length=16, description="bytes as text; escapes as \\x02 or \\r")]


class _FramingSettings(Settings, frozen=True, kw_only=True, tag_field="type"):
    checksum: ChecksumSettings | None = None
    max_length: MaxLength = 1024


class LineFraming(_FramingSettings, frozen=True, kw_only=True, tag="line"):
    """Lines of text, ended by CR, LF or both. Empty lines are left out."""


class DelimiterFraming(_FramingSettings, frozen=True, kw_only=True, tag="delimiter"):
    """Frames ended by certain bytes, which cannot be in them."""

    delimiter: Mark


class FixedFraming(_FramingSettings, frozen=True, kw_only=True, tag="fixed"):
    """Frames of one length; `start` or a checksum lets it find its way again."""

    length: Annotated[int, Meta(ge=1, le=65_536, description="bytes of a frame, marks and checksum included")]
    start: Annotated[str, Meta(max_length=16, description="bytes every frame starts with")] = ""


class LengthFraming(_FramingSettings, frozen=True, kw_only=True, tag="length"):
    """Frames that say how long they are."""

    size: Annotated[Literal[1, 2, 4], Meta(description="bytes of the length field")] = 1
    byte_order: Annotated[Literal["big", "little"], Meta(description="order of its bytes")] = "big"
    offset: Annotated[int, Meta(ge=0, le=255, description="bytes before the length field")] = 0
    extra: Annotated[int, Meta(ge=-255, le=255, description="bytes behind the field that it does not count")] = 0
    start: Annotated[str, Meta(max_length=16, description="bytes every frame starts with")] = ""


class MarksFraming(_FramingSettings, frozen=True, kw_only=True, tag="marks"):
    """Frames between a start and an end mark, which are taken off."""

    start: Mark
    end: Mark


class IdleFraming(_FramingSettings, frozen=True, kw_only=True, tag="idle"):
    """Frames with silence between them."""

    renamed: ClassVar[Mapping[str, str]] = {"gap_s": "gap"}
    gap: Annotated[float, Meta(gt=0, le=60, description="seconds of silence that end a frame")] = 0.05


class SlipFraming(_FramingSettings, frozen=True, kw_only=True, tag="slip"):
    """SLIP, RFC 1055."""


class CobsFraming(_FramingSettings, frozen=True, kw_only=True, tag="cobs"):
    """Consistent overhead byte stuffing, frames ended by zero (Cheshire and Baker, 1999)."""


Framing: TypeAlias = (
    LineFraming
    | DelimiterFraming
    | FixedFraming
    | LengthFraming
    | MarksFraming
    | IdleFraming
    | SlipFraming
    | CobsFraming
)


class Framer(abc.ABC):
    """Finds frames; make one with `framer_for`."""

    def __init__(self, settings: _FramingSettings) -> None:
        self._checksum = Checksum(settings.checksum) if settings.checksum else None
        self._max_length = settings.max_length
        self._buffer = b""
        self.garbled = 0
        """Frames given up: too long, broken, or with a wrong checksum."""

    @abc.abstractmethod
    def feed(self, data: bytes, now: float = 0.0) -> list[bytes]:
        """The frames completed by this data.

        Parameters:
            data: what has come.
            now: monotonic seconds, for framings that go by silence.
        """

    def flush(self, now: float) -> list[bytes]:
        """The frame that silence until now completes; to be called `gap_s` after the last data."""
        return []

    def clear(self) -> None:
        """Forgets a frame that has begun."""
        self._buffer = b""

    def _accepted(self, frame: bytes | None) -> list[bytes]:
        if frame is not None and self._checksum:
            frame = self._checksum.strip(frame)
        if frame is None or len(frame) > self._max_length:
            self.garbled += 1
            return []
        return [frame]


class _Delimited(Framer):
    """Everything that ends in certain bytes, and is then unpacked."""

    def __init__(self, settings: _FramingSettings, split: Callable[[bytes], list[bytes]], longest_raw: int) -> None:
        super().__init__(settings)
        self._split = split
        self._longest_raw = longest_raw
        self._overlong = False
        self._as_it_comes = type(self) is _Delimited and self._checksum is None

    def clear(self) -> None:
        super().clear()
        self._overlong = False

    def feed(self, data: bytes, now: float = 0.0) -> list[bytes]:
        *parts, rest = self._split(self._buffer + data)
        if self._as_it_comes and not self._overlong and len(rest) <= self._max_length:
            found = [part for part in parts if part]
            if not found or max(map(len, found)) <= self._max_length:
                self._buffer = rest
                return found
        found = []
        for part in parts:
            if self._overlong:
                self._overlong = False
            elif len(part) > self._longest_raw:
                self.garbled += 1
            elif part:
                found += self._accepted(self._unpack(part))
        if len(rest) > self._longest_raw:
            if not self._overlong:
                self.garbled += 1
            self._overlong = True
            rest = rest[-self._keep() :] if self._keep() else b""
        self._buffer = rest
        return found

    def _unpack(self, part: bytes) -> bytes | None:
        return part

    def _keep(self) -> int:
        """Bytes of an overlong frame that may be the start of its end mark."""
        return 15


class _Slip(_Delimited):
    def _unpack(self, part: bytes) -> bytes | None:
        if re.search(rb"\xdb(?![\xdc\xdd])", part):
            return None
        return part.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")


class _Cobs(_Delimited):
    def _unpack(self, part: bytes) -> bytes | None:
        out, at = bytearray(), 0
        while at < len(part):
            code = part[at]
            block = part[at + 1 : at + code]
            if len(block) != code - 1:
                return None
            out += block
            at += code
            if code < 255 and at < len(part):
                out.append(0)
        return bytes(out)


class _Marks(Framer):
    def __init__(self, settings: MarksFraming) -> None:
        super().__init__(settings)
        self._start, self._end = _bytes(settings.start), _bytes(settings.end)
        self._longest = settings.max_length + (self._checksum.size if self._checksum else 0)

    def feed(self, data: bytes, now: float = 0.0) -> list[bytes]:
        buffer, found = self._buffer + data, list[bytes]()
        while (end := buffer.find(self._end)) >= 0:
            frame, buffer = buffer[:end], buffer[end + len(self._end) :]
            start = frame.rfind(self._start)
            if start >= 0:
                found += self._accepted(frame[start + len(self._start) :])
        start = buffer.rfind(self._start)
        if start >= 0 and len(buffer) - start <= self._longest + len(self._start) + len(self._end):
            self._buffer = buffer[start:]
        else:
            self.garbled += start >= 0
            keep = max(len(self._start), len(self._end)) - 1
            self._buffer = buffer[-keep:] if keep else b""
        return found


class _Sliding(Framer):
    """Frames known by what they start with and how long they are; after a wrong one it tries from the next byte."""

    def __init__(self, settings: FixedFraming | LengthFraming) -> None:
        super().__init__(settings)
        self._settings = settings
        self._start = _bytes(settings.start)

    def feed(self, data: bytes, now: float = 0.0) -> list[bytes]:
        buffer, at, found = self._buffer + data, 0, list[bytes]()
        while True:
            at = self._next_start(buffer, at)
            size = self._size(buffer, at)
            if size is None or (size > 0 and len(buffer) - at < size):
                break
            accepted = self._accepted(buffer[at : at + size] if size > 0 else None)
            found += accepted
            at += size if accepted else 1
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
        longest = settings.max_length + (self._checksum.size if self._checksum else 0)
        return size if end - at <= size <= longest else 0


class _Idle(Framer):
    def __init__(self, settings: IdleFraming) -> None:
        super().__init__(settings)
        self._gap_s = settings.gap
        self._last = 0.0
        self._longest = settings.max_length + (self._checksum.size if self._checksum else 0)
        self._overlong = False

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
    """The framer that settings describe. Raises SettingsError for an unknown checksum."""
    longest = settings.max_length + 8
    match settings:
        case LineFraming():
            return _Delimited(settings, lambda data: data.replace(b"\r", b"\n").split(b"\n"), longest)
        case DelimiterFraming():
            return _Delimited(settings, _splitter(_bytes(settings.delimiter)), longest)
        case SlipFraming():
            return _Slip(settings, _splitter(b"\xc0"), 2 * longest)
        case CobsFraming():
            return _Cobs(settings, _splitter(b"\x00"), longest + longest // 254 + 1)
        case MarksFraming():
            return _Marks(settings)
        case IdleFraming():
            return _Idle(settings)
        case _:
            return _Sliding(settings)


def _splitter(end: bytes) -> Callable[[bytes], list[bytes]]:
    return lambda data: data.split(end)


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace").decode("unicode_escape").encode("latin-1", "replace")
