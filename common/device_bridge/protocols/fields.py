"""Readings out of raw values, as settings describe them: unit, scale, and the values that mean none. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from ..reading import Quality, Quantity, Reading, Value, is_finite, scaled
from ..settings.base import Name, Settings
from .numerals import plain_number, positional_number, split_unit

Raw: TypeAlias = "str | int | float | bool | None"
"""None where a record does not speak of it, an empty text where it has no value."""
Key: TypeAlias = "str | int"

MAX_TEXT = 16_384
"""Characters of a text; a longer one is refused."""
_TRUE, _FALSE = ("true", "1", "on", "yes"), ("false", "0", "off", "no")
_SIGNS: Mapping[str, str] = {"-": "-", "+": "", "": ""}


class FieldSettings(Settings, frozen=True, kw_only=True):
    """One value of a device, and what it means. A service adds where it is found."""

    name: Annotated[Name, Meta(description="in readings")]
    unit: Annotated[str, Meta(max_length=20, description="SenML unit")] = ""
    scale: Annotated[float, Meta(description="what a number is multiplied with")] = 1.0
    offset: Annotated[float, Meta(description="what is added then")] = 0.0
    values: Annotated[dict[str, Value], Meta(description="meaning of each raw value, where only these can come")] = {}
    missing: Annotated[tuple[str | float, ...], Meta(description="raw values that mean: no value")] = ()
    valid: Annotated[tuple[float, float] | None, Meta(description="least and greatest value it can have")] = None
    period: Annotated[
        float,
        Meta(ge=0, description="after which values repeat, as 360 of a direction; filters then work on the circle"),
    ] = 0.0
    description: str = ""

    @property
    def quantity(self) -> Quantity:
        """What it measures."""
        return Quantity(self.name, self.unit, self.valid, self.description, period=self.period)

    def reading(self, raw: Raw) -> Reading:
        """What a raw value says; one that says nothing is bad, with the reason."""
        stripped = raw.strip() if isinstance(raw, str) else raw
        if isinstance(raw, int) and not is_finite(raw):
            return self.bad("a number that is too large")
        if raw is None or raw == "" or (stripped == "" and not self.keeps_blanks):
            return self.bad("no value")
        if self._is_missing(stripped):
            return self.bad(f"no value ({stripped})")
        if self.values:
            value = self.values.get(_spelled(stripped))
            return self.good(value) if value is not None else self.bad(f"unknown value {_spelled(stripped)[:50]!r}")
        return self.interpreted(raw)

    @property
    def keeps_blanks(self) -> bool:
        """Whether blanks are part of the value."""
        return False

    def number(self, text: str) -> float:
        """The number that a text is; NaN for none."""
        return plain_number(text, exponent=True)

    def interpreted(self, raw: str | float | bool) -> Reading:
        """The reading of a raw value that is neither missing nor one of a few."""
        number = self.number(raw) if isinstance(raw, str) else raw
        if isinstance(number, bool):
            return self.good(number)
        if not is_finite(number):
            return self.bad(f"not a number ({str(raw)[:50]!r})")
        value = scaled(number, self.scale, self.offset)
        return self.good(value) if is_finite(value) else self.bad(f"too large ({str(raw)[:50]})")

    def good(self, value: Value) -> Reading:
        """A reading of good quality."""
        return Reading(self.name, value, self.unit)

    def bad(self, reason: str) -> Reading:
        """No value, and why."""
        return Reading(self.name, None, self.unit, quality=Quality.BAD, reason=reason)

    def _is_missing(self, raw: Raw) -> bool:
        if not self.missing:
            return False
        if isinstance(raw, bool):
            return _spelled(raw) in self.missing
        if raw in self.missing or str(raw) in self.missing:
            return True
        return isinstance(raw, str) and self.number(raw) in self.missing


class RecordField(FieldSettings, frozen=True, kw_only=True):
    """One value of a record."""

    key: Annotated[Key, Meta(description="where it is in the record; by default its name")] = ""
    presence: Annotated[
        Literal["usual", "required", "optional"],
        Meta(
            description="a record that does not speak of it gives no reading of it, of a `required` one a bad one; "
            "an `optional` one is not reported lost before it was measured"
        ),
    ] = "usual"
    kind: Literal["number", "text", "boolean"] = "number"
    decimal: Annotated[Literal[".", ","], Meta(description="decimal mark of numbers in text")] = "."
    grouping: Annotated[
        Literal["", " ", ",", ".", "'"], Meta(description="mark between groups of three digits, where there is one")
    ] = ""
    exponent: Annotated[bool, Meta(description="whether numbers in text may end in one, as 1.5e3")] = False
    base: Annotated[int, Meta(ge=2, le=36, description="of whole numbers in text; 16 for hexadecimal")] = 10
    bits: Annotated[
        int, Meta(ge=0, le=64, description="of numbers in two's complement, in another base than 10; 0 for none")
    ] = 0
    sign_key: Annotated[Key, Meta(description="where its sign is in the record, if not before the number")] = ""
    unit_key: Annotated[Key, Meta(description="where its unit is in the record, if that comes with it")] = ""
    units: Annotated[
        dict[str, float | tuple[float, float]],
        Meta(
            description="units that can come, each with what it is multiplied with, or that and what is added; "
            "without `unit_key` the unit is behind the number"
        ),
    ] = {}

    @property
    def quantity(self) -> Quantity:
        return msgspec.structs.replace(super().quantity, optional=self.presence == "optional")

    @property
    def place(self) -> Key:
        """Its key in the record."""
        return self.name if self.key == "" else self.key

    @property
    def places(self) -> list[Key]:
        """All keys that are read for it."""
        return [self.place, *(key for key in (self.sign_key, self.unit_key) if key != "")]

    @property
    def keeps_blanks(self) -> bool:
        return self.kind == "text"

    def read(self, get: Callable[[Key], Raw]) -> Reading | None:
        """Its reading in a record, None where that does not speak of it.

        Parameters:
            get: the raw value behind a key, None where there is none.
        """
        raw = get(self.place)
        if raw is None:
            return self.bad("not in the record") if self.presence == "required" else None
        unit: str | None = None
        if self.unit_key != "":
            unit = str(get(self.unit_key) or "").strip()
        elif self.units and isinstance(raw, str):
            raw, unit = split_unit(raw)
        if self.sign_key != "":
            sign = str(get(self.sign_key) or "").strip()
            if sign not in _SIGNS:
                return self.bad(f"unknown sign {sign[:50]!r}")
            raw = f"{_SIGNS[sign]}{str(raw).strip()}"
        reading = self.reading(raw)
        if unit is None or reading.quality is not Quality.GOOD or isinstance(reading.value, bool | str | None):
            return reading
        return self._converted(reading, reading.value, unit)

    def number(self, text: str) -> float:
        if self.base != 10:
            return positional_number(text, self.base, self.bits)
        return plain_number(text, decimal=self.decimal, grouping=self.grouping, exponent=self.exponent)

    def interpreted(self, raw: str | float | bool) -> Reading:
        if self.kind == "text":
            text = raw if isinstance(raw, str) else _spelled(raw)
            if len(text) > MAX_TEXT:
                return self.bad(f"text of {len(text)} characters; at most {MAX_TEXT} are sent")
            return self.good(text)
        if self.kind == "boolean":
            word = _spelled(raw).strip().lower()
            return self.good(word in _TRUE) if word in (*_TRUE, *_FALSE) else self.bad(f"not a state ({word[:50]!r})")
        if isinstance(raw, bool):
            return self.bad(f"not a number ({raw})")
        return super().interpreted(raw)

    def _converted(self, reading: Reading, value: float, unit: str) -> Reading:
        known = self.units or {self.unit: 1.0}
        factor = known.get(unit)
        if factor is None:
            came = f"in {unit[:20]!r}" if unit else "without a unit"
            return self.bad(f"{came}, not in {' or '.join(known)}")
        scale, offset = factor if isinstance(factor, tuple) else (factor, 0.0)
        if scale == 1 and not offset:
            return reading
        converted = scaled(value, scale, offset)
        return msgspec.structs.replace(reading, value=converted) if is_finite(converted) else self.bad("too large")


def _spelled(raw: Raw) -> str:
    """As JSON spells it; a whole number as one."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, float) and math.isfinite(raw) and raw == int(raw):
        return str(int(raw))
    return str(raw)


def at_path(members: Any, path: str, null: Raw = None) -> Raw:
    """What JSON has at a path as `imu.acceleration.0`, None where it has no single value.

    Parameters:
        members: decoded JSON.
        path: names of members and numbers of elements, with dots between.
        null: what a null there becomes.
    """
    for part in path.split("."):
        if isinstance(members, Mapping) and part in members:
            members = members[part]
        elif isinstance(members, list) and part.isdecimal() and int(part) < len(members):
            members = members[int(part)]
        else:
            return None
    if members is None:
        return null
    return None if isinstance(members, Mapping | list) else members
