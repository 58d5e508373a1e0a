"""Checksums of frames, by name. No I/O.

CRCs have the names of Greg Cook's catalogue of parametrised CRC algorithms (`CRC-16/MODBUS`, `CRC-8/MAXIM-DOW`).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Annotated, Literal

from msgspec import Meta

from ..errors import SettingsError
from ..settings.base import Settings
from .escapes import unescaped


class AlgorithmSettings(Settings, frozen=True, kw_only=True):
    """How a checksum is calculated."""

    algorithm: Annotated[
        str,
        Meta(
            description="`XOR`, `SUM-8`, `SUM-16`, `LRC` (covered bytes and checksum add up to zero), or a CRC by "
            "its catalogue name",
            examples=["CRC-16/MODBUS"],
        ),
    ]
    byte_order: Annotated[Literal["big", "little"], Meta(description="order of its bytes")] = "big"
    skip: Annotated[int, Meta(ge=0, le=255, description="bytes at the start that it does not cover")] = 0
    start: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="start value, where it is not that of the algorithm's definition"),
    ] = None


class ChecksumSettings(AlgorithmSettings, frozen=True, kw_only=True):
    """The checksum of a frame: how it is calculated, where it is, and what it covers."""

    notation: Annotated[
        Literal["binary", "hex", "decimal"],
        Meta(description="how it is written; `hex` and `decimal` are text with all digits"),
    ] = "binary"
    position: Annotated[
        int | None, Meta(description="where it begins in the frame, negative from its end; by default it is last")
    ] = None
    over: Annotated[
        tuple[int, ...],
        Meta(
            max_length=2,
            description="first covered byte and the one after the last, or the first alone, negative from the "
            "frame's end; never its own bytes; by default all before it",
        ),
    ] = ()
    avoid: Annotated[
        str, Meta(max_length=64, description="bytes it is never sent with, escapes as \\r; they are one greater")
    ] = ""


class Checksum:
    """Checks and takes out the checksum of a frame.

    Parameters:
        settings: algorithm, notation, place, coverage.

    Raises SettingsError for a name that is not known and a place that cannot be.
    """

    def __init__(self, settings: ChecksumSettings) -> None:
        self._order, self._notation = settings.byte_order, settings.notation
        self._calculate, self._bytes = _algorithm(settings.algorithm)
        self._start = settings.start
        if settings.start is not None and settings.start >> self._bytes * 8:
            remedy = f"{settings.algorithm} starts with {self._bytes * 8} bits at most."
            raise SettingsError("checksum.start", settings.start, "is too large", remedy)
        digits = len(str(256**self._bytes - 1))
        self.size = {"binary": self._bytes, "hex": 2 * self._bytes, "decimal": digits}[settings.notation]
        """Bytes that it takes in a frame."""
        self._position = -self.size if settings.position is None else settings.position
        if -self.size < self._position < 0:
            remedy = f"It takes {self.size} bytes: write -{self.size} or less, or count from the frame's start."
            raise SettingsError("checksum.position", settings.position, "leaves it no room", remedy)
        self._over, self._skip = settings.over, settings.skip
        avoided = unescaped(settings.avoid, "checksum.avoid")
        self._sent = bytes(byte + 1 & 0xFF if byte in avoided else byte for byte in range(256))

    def strip(self, frame: bytes) -> bytes | None:
        """The frame without its checksum; None when that is wrong or missing."""
        at = self._position if self._position >= 0 else len(frame) + self._position
        end = at + self.size
        if at < 0 or end > len(frame) or len(frame) < self.size + self._skip:
            return None
        found = frame[at:end].upper() if self._notation == "hex" else frame[at:end]
        return frame[:at] + frame[end:] if found == self._value(frame, at) else None

    def append(self, body: bytes) -> bytes:
        """The frame with its checksum in its place."""
        at = self._position if self._position >= 0 else len(body) + self.size + self._position
        if not 0 <= at <= len(body):
            raise ValueError(f"{len(body)} bytes are too few to hold a checksum at {self._position}")
        frame = body[:at] + bytes(self.size) + body[at:]
        return body[:at] + self._value(frame, at) + body[at:]

    def _covered(self, at: int) -> tuple[int, int | None]:
        match self._over:
            case (first, end):
                return first, end
            case (first,):
                return first, None
        return self._skip, at

    def _value(self, frame: bytes, at: int) -> bytes:
        """The bytes that the checksum at this place must have."""
        first, end = self._covered(at)
        first, end, _ = slice(first, end).indices(len(frame))
        covered = frame[first : min(end, at)] + frame[max(first, at + self.size) : end]
        value = self._calculate(covered, self._start)
        if self._notation == "decimal":
            return str(value).rjust(self.size, "0").encode()
        data = value.to_bytes(self._bytes, self._order)
        return data.hex().upper().encode() if self._notation == "hex" else data.translate(self._sent)

    def value(self, body: bytes) -> bytes:
        """The checksum of bytes that are all covered but those skipped, in binary."""
        return self._calculate(body[self._skip :], self._start).to_bytes(self._bytes, self._order)


Calculation = Callable[[bytes, int | None], int]
_SIMPLE: dict[str, tuple[Calculation, int]] = {
    "XOR": (lambda data, start: functools.reduce(operator.xor, data, start or 0), 1),
    "SUM-8": (lambda data, start: sum(data, start or 0) & 0xFF, 1),
    # Two's complement of the sum, as in Modbus ASCII and ISO 1155.
    "LRC": (lambda data, start: -sum(data, start or 0) & 0xFF, 1),
    "SUM-16": (lambda data, start: sum(data, start or 0) & 0xFFFF, 2),
}


def _algorithm(name: str) -> tuple[Calculation, int]:
    wanted = name.upper()
    if wanted in _SIMPLE:
        return _SIMPLE[wanted]
    from crccheck import crc  # noqa: PLC0415 - most devices have no CRC

    for kind in crc.ALLCRCCLASSES:
        if wanted in (known.upper() for known in kind._names):  # the library has no other way to look a name up
            return kind.calc, (kind._width + 7) // 8
    remedy = f"Write {', '.join(_SIMPLE)} or a name of the CRC catalogue, as CRC-16/MODBUS or CRC-8/MAXIM-DOW."
    raise SettingsError("checksum.algorithm", name, "unknown checksum", remedy)
