"""Formulas of chips that carry constants of their own, measured when they were made. No I/O.

Bosch BMP388, BST-BMP388-DS001 rev. 1.7: memory map of the trimming coefficients (3.11.1), compensation in floating
point (8.4 to 8.6).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Annotated

from msgspec import Meta

from device_bridge import Settings

from .transfers import ReadSettings

Formula = Callable[[Sequence[float], Sequence[float]], float]
"""Of raw values and the chip's constants; the last raw value is the one that is meant."""


class CalibrationSettings(Settings, frozen=True, kw_only=True):
    """A chip's constants: read twice when it is set up, for a wrong bit would bend every reading from then on."""

    read: ReadSettings
    format: Annotated[str, Meta(max_length=100, description="as in Python's struct")]
    typical: Annotated[tuple[int, ...], Meta(description="those of an emulated chip")]

    def constants(self, data: bytes) -> tuple[float, ...]:
        """The constants in these bytes."""
        return struct.unpack(self.format, data)


def bmp388_temperature(raw: Sequence[float], constants: Sequence[float]) -> float:
    """Degrees Celsius."""
    t1, t2, t3, *_ = constants
    above = raw[-1] - t1 * 2**8
    return above * t2 / 2**30 + above * above * t3 / 2**48


def bmp388_pressure(raw: Sequence[float], constants: Sequence[float]) -> float:
    """Pascals, of raw temperature and pressure."""
    _, _, _, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11 = constants
    t, p = bmp388_temperature(raw[:1], constants), raw[1]
    offset = p5 * 2**3 + p6 / 2**6 * t + p7 / 2**8 * t**2 + p8 / 2**15 * t**3
    slope = (p1 - 2**14) / 2**20 + (p2 - 2**14) / 2**29 * t + p3 / 2**32 * t**2 + p4 / 2**37 * t**3
    return offset + p * slope + p**2 * (p9 / 2**48 + p10 / 2**48 * t) + p**3 * p11 / 2**65


FORMULAS: dict[str, Formula] = {"bmp388_temperature": bmp388_temperature, "bmp388_pressure": bmp388_pressure}
