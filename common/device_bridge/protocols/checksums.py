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
    start: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="start value, where it is not that of the algorithm's definition"),
    ] = None


class Checksum:
    """Checks and removes the checksum of a frame.

    Parameters:
        settings: algorithm, byte order, coverage.

    Raises SettingsError for a name that is not known.
    """

    def __init__(self, settings: ChecksumSettings) -> None:
        self._order = settings.byte_order
        self._skip = settings.skip
        self._calculate, self.size = _algorithm(settings.algorithm)
        self._start = settings.start
        if settings.start is not None and settings.start >> self.size * 8:
            remedy = f"{settings.algorithm} starts with {self.size * 8} bits at most."
            raise SettingsError("checksum.start", settings.start, "is too large", remedy)

    def strip(self, frame: bytes) -> bytes | None:
        """The frame without its checksum; None when that is wrong or missing."""
        body = frame[: -self.size]
        if len(frame) < self.size + self._skip or self.value(body) != frame[-self.size :]:
            return None
        return body

    def append(self, body: bytes) -> bytes:
        """The frame with its checksum."""
        return body + self.value(body)

    def value(self, body: bytes) -> bytes:
        """The checksum of a frame without one."""
        return self._calculate(body[self._skip :], self._start).to_bytes(self.size, self._order)


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
