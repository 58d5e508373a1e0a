"""Checksums at the end of a frame, by name. No I/O.

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


class ChecksumSettings(Settings, frozen=True, kw_only=True):
    """Which checksum ends a frame."""

    algorithm: Annotated[
        str,
        Meta(
            description="`XOR`, `SUM-8`, `SUM-16`, `LRC`, or a CRC by its catalogue name", examples=["CRC-16/MODBUS"]
        ),
    ]
    byte_order: Annotated[Literal["big", "little"], Meta(description="order of its bytes")] = "big"
    skip: Annotated[int, Meta(ge=0, le=255, description="bytes at the start that it does not cover")] = 0


class Checksum:
    """Checks and takes off the checksum of a frame.

    Parameters:
        settings: algorithm, byte order, coverage.

    Raises SettingsError for a name that is not known.
    """

    def __init__(self, settings: ChecksumSettings) -> None:
        self._order = settings.byte_order
        self._skip = settings.skip
        self._calculate, self.size = _algorithm(settings.algorithm)

    def strip(self, frame: bytes) -> bytes | None:
        """The frame without its checksum; None when that is wrong or missing."""
        body = frame[: -self.size]
        if len(frame) < self.size + self._skip or self._value(body) != frame[-self.size :]:
            return None
        return body

    def append(self, body: bytes) -> bytes:
        """The frame with its checksum."""
        return body + self._value(body)

    def _value(self, body: bytes) -> bytes:
        return self._calculate(body[self._skip :]).to_bytes(self.size, self._order)


_SIMPLE: dict[str, tuple[Callable[[bytes], int], int]] = {
    "XOR": (lambda data: functools.reduce(operator.xor, data, 0), 1),
    "SUM-8": (lambda data: sum(data) & 0xFF, 1),
    "LRC": (lambda data: -sum(data) & 0xFF, 1),  # two's complement of the sum, as in Modbus ASCII and ISO 1155
    "SUM-16": (lambda data: sum(data) & 0xFFFF, 2),
}


def _algorithm(name: str) -> tuple[Callable[[bytes], int], int]:
    wanted = name.upper()
    if wanted in _SIMPLE:
        return _SIMPLE[wanted]
    from crccheck import crc  # noqa: PLC0415 - most devices have no CRC

    for kind in crc.ALLCRCCLASSES:
        if wanted in (known.upper() for known in kind._names):  # the library has no other way to look a name up
            return kind.calc, (kind._width + 7) // 8
    remedy = f"Write {', '.join(_SIMPLE)} or a name of the CRC catalogue, as CRC-16/MODBUS or CRC-8/MAXIM-DOW."
    raise SettingsError("checksum.algorithm", name, "unknown checksum", remedy)
