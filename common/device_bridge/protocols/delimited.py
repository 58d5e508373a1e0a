"""Frames that end in certain bytes."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..errors import SettingsError
from .escapes import unescaped
from .framer import Framer
from .framing_settings import DelimiterFraming, FramingSettings
from .patterns import Pattern


class Delimited(Framer):
    """Everything that ends in certain bytes, and is then unpacked."""

    def __init__(self, settings: FramingSettings, split: Callable[[bytes], list[bytes]], longest_raw: int) -> None:
        super().__init__(settings)
        self._split = split
        self._longest_raw = longest_raw
        self._overlong = False
        self._as_it_comes = type(self) is Delimited and self._checksum is None

    def clear(self) -> None:
        super().clear()
        self._overlong = False

    def begin_within_frame(self) -> None:
        if self._checksum is None:
            self._overlong = True
            self.garbled += 1

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


class Ended(Framer):
    """Frames that end in certain bytes and a few more behind them, as a checksum; both belong to the frame."""

    def __init__(self, settings: DelimiterFraming) -> None:
        super().__init__(settings)
        self._delimiter = unescaped(settings.delimiter, "framing.delimiter")
        self._after = settings.after
        self._left_out = _pattern_of_bytes(settings.leave_out) if settings.leave_out else None
        self._longest = settings.max_length + len(self._delimiter) + self._after
        self._unclear = 0
        """Bytes at the start of the buffer that may belong to a frame that has failed."""

    def clear(self) -> None:
        super().clear()
        self._unclear = 0

    def feed(self, data: bytes, now: float = 0.0) -> list[bytes]:
        self._buffer += data
        found = list[bytes]()
        while (end := self._buffer.find(self._delimiter)) >= 0:
            behind = end + len(self._delimiter) + self._after
            if len(self._buffer) < behind:
                break
            frame = self._frame(self._buffer[:behind])
            if frame is None:
                self.garbled += 1
                self._unclear = self._after
                behind -= self._after  # a byte was lost, perhaps: these may begin the next frame
            else:
                found.append(frame)
                self._unclear = 0
            self._buffer = self._buffer[behind:]
        if len(self._buffer) > 2 * self._longest:
            self.garbled += 1
            self._buffer, self._unclear = self._buffer[-self._longest :], 0
        return found

    def _frame(self, data: bytes) -> bytes | None:
        for first in range(self._unclear, -1, -1):
            frame = data[first:]
            if self._left_out:
                frame = self._left_out.without(frame)
            checked = self._checksum.strip(frame) if self._checksum else frame
            if checked is not None and len(checked) <= self._max_length:
                return checked
        return None


def _pattern_of_bytes(text: str) -> Pattern[bytes]:
    try:
        return Pattern(text.encode("latin-1"), "framing.leave_out")
    except UnicodeError as error:
        remedy = r"It is matched with bytes: write those above 7e as \xNN."
        raise SettingsError("framing.leave_out", text, f"does not say which bytes: {error}", remedy) from None


class Slip(Delimited):
    """SLIP, RFC 1055."""

    def _unpack(self, part: bytes) -> bytes | None:
        if re.search(rb"\xdb(?![\xdc\xdd])", part):
            return None
        return part.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")


class Cobs(Delimited):
    """Consistent overhead byte stuffing."""

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
