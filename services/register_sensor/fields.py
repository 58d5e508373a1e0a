"""One value in the bytes of a read: where it is, how it is written, what it means. No I/O."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal

from msgspec import Meta

from device_bridge import Reading, is_finite
from device_bridge.protocols import FieldSettings, Raw, scaled

from .codings import CODINGS, SIZES, TEXTS, CodingName, Layout

Table = tuple[tuple[float, float], ...]


class ChipValue(FieldSettings, frozen=True, kw_only=True):
    """What values read from a chip and computed ones have in common."""

    scaled_by: Annotated[
        dict[str, float],
        Meta(description="parameters: scale and range go with value / default to the power of this number"),
    ] = {}
    decimals: Annotated[
        Annotated[int, Meta(ge=0, le=12)] | None, Meta(description="decimal places, if not those it comes with")
    ] = None
    hidden: Annotated[bool, Meta(description="used by computed values, not sent")] = False
    crop: Annotated[bool, Meta(description="values beyond `valid` are its ends")] = False
    typical: Annotated[float | None, Meta(description="what an emulated chip measures by default")] = None

    def finished(self, value: float) -> float:
        """A value as it is sent."""
        if self.crop and self.valid:
            value = min(max(value, self.valid[0]), self.valid[1])
        return value if self.decimals is None else round(value, self.decimals)


class ChipField(ChipValue, frozen=True, kw_only=True):
    """One value in the bytes of a read."""

    at: Annotated[int, Meta(ge=0, le=63, description="first byte, from 0, checksums not counted")] = 0
    size: Annotated[int, Meta(ge=1, le=64, description="how many bytes")] = 2
    order: Literal["big", "little"] = "big"
    bits: Annotated[tuple[int, int] | None, Meta(description="first bit (0 is the least) and number of bits")] = None
    signed: bool = False
    coding: Annotated[
        CodingName,
        Meta(
            description="`binary`; `sign_magnitude`; `parts`: whole ones, and in the last byte tenths; `bcd`; "
            "`float32`: IEEE 754; `text`: ASCII to the first NUL; `bcd_clock`: seven bytes, seconds to years"
        ),
    ] = "binary"
    sign_bit: Annotated[
        Annotated[int, Meta(ge=0, le=63)] | None,
        Meta(description="of `sign_magnitude` (default: the highest) and `parts`"),
    ] = None
    fraction: Annotated[int, Meta(ge=2, le=256, description="of `parts`: how many of the last byte make one")] = 10
    table: Annotated[Table, Meta(description="raw values and what they mean, in place of scale and offset")] = ()
    between: Annotated[
        Literal["lines", "nearest", "steps"],
        Meta(description="pairs of the table: straight lines; the nearest pair; each pair up to the next"),
    ] = "lines"
    within: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="greatest distance from the nearest pair; beyond it, no value"),
    ] = None

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self.coding not in TEXTS

    @property
    def width(self) -> int:
        """Bits of the raw value."""
        return self.bits[1] if self.bits else self.size * 8

    @property
    def step(self) -> float:
        """The smallest difference between two values; 0 for a floating-point number."""
        scale = abs(self.scale) / (self.fraction if self.coding == "parts" else 1)
        return 0.0 if self.coding == "float32" else scale

    @property
    def raw_limits(self) -> tuple[float, float]:
        """The least and greatest raw value."""
        return CODINGS[self.coding].limits(self._layout)

    @property
    def _layout(self) -> Layout:
        sign_bit = self.sign_bit
        if self.coding == "sign_magnitude" and sign_bit is None:
            sign_bit = self.width - 1
        return Layout(self.order, self.bits[0] if self.bits else 0, self.width, self.signed, sign_bit, self.fraction)

    def problem(self, body_size: int) -> tuple[object, str, str] | None:
        """What is wrong with it: value, rule, remedy.

        Parameters:
            body_size: bytes that are read, without checksums.
        """
        if self.at + self.size > body_size:
            rule = f"ends after the {body_size} bytes that are read"
            return self.at, rule, "Read more, or correct `at` and `size`."
        if self.bits and sum(self.bits) > self.size * 8:
            return self.bits, f"leaves its {self.size} bytes", "Correct `bits`."
        if self.size != SIZES.get(self.coding, self.size):
            name = "a clock" if self.coding == "bcd_clock" else f"a {self.coding}"
            return self.size, f"is not the size of {name}", f"Write size = {SIZES[self.coding]}."
        if self.is_number and self.size > 8:
            return self.size, "is more than a number has", "Write 8 at most; coding `text` may be longer."
        if self.coding == "parts" and self.width < 16:
            return self.size, "is too short for `parts`", "Write size = 2: whole ones, then tenths."
        if self.sign_bit is not None and self.sign_bit >= self.width:
            return self.sign_bit, f"leaves its {self.width} bits", "Correct `sign_bit`."
        if list(self.table) != sorted(dict(self.table).items()) or len(self.table) == 1:
            return self.table, "does not rise", "List pairs by rising raw value, two at least."
        return None

    def interpreted(self, raw: str | float | bool) -> Reading:
        """The reading of a raw value that is neither missing nor one of a few."""
        if isinstance(raw, str):
            return self.good(raw)
        if not is_finite(raw):
            return self.bad(f"not a number ({raw})")
        value = _looked_up(raw, self.table, self.between, self.within) if self.table else self._scaled(raw)
        if value is None:
            return self.bad(f"not in its table ({raw:g})")
        return self.good(self.finished(value))

    def _scaled(self, raw: float) -> float:
        if self.coding == "parts":
            return scaled(raw, scaled(1, self.scale / self.fraction, 0.0), self.offset)
        return scaled(raw, self.scale, self.offset)

    def raw_for(self, value: float) -> float:
        """The raw value nearest to a physical one. Raises ValueError for one that the chip cannot tell."""
        low, high = self.raw_limits
        if self.table:
            low, high = self.table[0][0], self.table[-1][0]
            by_meaning = tuple(sorted((meaning, raw) for raw, meaning in self.table))
            raw = _looked_up(value, by_meaning, self.between, None) or 0.0
        else:
            raw = (value - self.offset) / self.scale * (self.fraction if self.coding == "parts" else 1)
        if self.coding != "float32":
            raw = round(raw)
        if not low <= raw <= high or raw in self.missing:
            ends = sorted(f"{self._scaled(end):g}" for end in (low, high)) if not self.table else ()
            raise ValueError(
                f"{self.name}: the chip can tell {' to '.join(ends) or 'what is in its table'} {self.unit}"
            )
        return raw

    def raw(self, body: bytes) -> Raw:
        """The raw value in these bytes."""
        return CODINGS[self.coding].decode(body[self.at : self.at + self.size], self._layout)

    def put(self, raw: float, body: bytearray) -> None:
        """Puts a raw value into bytes; the inverse of `raw`, for emulators."""
        place = slice(self.at, self.at + self.size)
        body[place] = CODINGS[self.coding].encode(raw, bytes(body[place]), self._layout)


def _looked_up(x: float, table: Table, between: str, within: float | None) -> float | None:
    """What a table says; with lines, before the first pair and after the last as at these."""
    if between == "nearest":
        nearest, meaning = min(table, key=lambda pair: abs(pair[0] - x))
        return meaning if within is None or abs(nearest - x) <= within else None
    if between == "steps":
        return next((meaning for start, meaning in reversed(table) if x >= start), None)
    if x <= table[0][0]:
        return table[0][1]
    for (x0, y0), (x1, y1) in itertools.pairwise(table):
        if x <= x1:
            slope = (y1 - y0) / (x1 - x0)
            places = 1 + max(0, math.ceil(-math.log10(abs(slope)))) if slope else 12
            return round(y0 + slope * (x - x0), places)
    return table[-1][1]
