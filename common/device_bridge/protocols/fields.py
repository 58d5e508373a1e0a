"""Readings out of raw values, as settings describe them: unit, scale, and the values that mean none. No I/O."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from ..reading import Quality, Quantity, Reading, Value, is_finite
from ..settings.base import Settings

Raw: TypeAlias = "str | int | float | bool | None"

MAX_TEXT = 1000
_TRUE, _FALSE = ("true", "1", "on", "yes"), ("false", "0", "off", "no")


class FieldSettings(Settings, frozen=True, kw_only=True):
    """One value of a device, and what it means. A service adds where it is found."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]*$", max_length=100, description="in readings")]
    unit: Annotated[str, Meta(max_length=20, description="SenML unit")] = ""
    scale: Annotated[float, Meta(description="what a number is multiplied with")] = 1.0
    offset: Annotated[float, Meta(description="what is added then")] = 0.0
    values: Annotated[dict[str, Value], Meta(description="meaning of each raw value, where only these can come")] = {}
    missing: Annotated[tuple[str | float, ...], Meta(description="raw values that mean: no value")] = ()
    valid: Annotated[tuple[float, float] | None, Meta(description="least and greatest value it can have")] = None
    description: str = ""

    @property
    def quantity(self) -> Quantity:
        """What it measures."""
        return Quantity(self.name, self.unit, self.valid, self.description)

    def reading(self, raw: Raw) -> Reading:
        """What a raw value says; one that says nothing is bad, with the reason."""
        if isinstance(raw, str):
            raw = raw.strip()
        elif isinstance(raw, int) and not is_finite(raw):
            return self.bad("a number that is too large")
        if raw is None or raw == "":
            return self.bad("no value")
        if self._is_missing(raw):
            return self.bad(f"no value ({raw})")
        if self.values:
            value = self.values.get(str(raw))
            return self.good(value) if value is not None else self.bad(f"unknown value {str(raw)[:50]!r}")
        return self.interpreted(raw)

    def interpreted(self, raw: str | float | bool) -> Reading:
        """The reading of a raw value that is neither missing nor one of a few."""
        try:
            number = float(raw) if isinstance(raw, str) else raw
        except ValueError:
            number = math.nan
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
        if raw in self.missing or str(raw) in self.missing:
            return True
        try:
            return float(str(raw)) in self.missing
        except ValueError:
            return False


class RecordField(FieldSettings, frozen=True, kw_only=True):
    """One value of a record."""

    key: Annotated[str | int, Meta(description="where it stands in the record; by default its name")] = ""
    kind: Literal["number", "text", "boolean"] = "number"
    decimal: Annotated[Literal[".", ","], Meta(description="decimal mark of numbers in text")] = "."

    @property
    def place(self) -> str | int:
        """Its key in the record."""
        return self.name if self.key == "" else self.key

    def interpreted(self, raw: str | float | bool) -> Reading:
        if self.kind == "text":
            return self.good(str(raw)[:MAX_TEXT])
        if self.kind == "boolean":
            word = str(raw).lower()
            return self.good(word in _TRUE) if word in (*_TRUE, *_FALSE) else self.bad(f"not a state ({word[:50]!r})")
        if isinstance(raw, bool):
            return self.bad(f"not a number ({raw})")
        return super().interpreted(raw.replace(self.decimal, ".").replace(" ", "") if isinstance(raw, str) else raw)


def scaled(raw: float, scale: float, offset: float) -> float:
    """raw * scale + offset, without the digits that binary arithmetic adds (36.97, not 36.97000000000003).

    The value has as many decimal places as raw, scale and offset need as written. Where a whole raw value is
    multiplied by no short decimal fraction (175 / 65535), it has one place more than tells one step from the next.
    """
    if scale == 1 and not offset:
        return raw
    value = raw * scale + offset
    if not is_finite(value):
        return value
    step_places = max(0, math.ceil(-math.log10(abs(scale)))) if scale else 0
    places = _places(scale)
    if places > step_places + _MOST_PLACES and raw == int(raw):
        return round(value, step_places + 1)
    return round(value, max(places + _places(raw), _places(offset)))


_MOST_PLACES = 5
"""Beyond those that one step needs: 0.0078125 has four more, 1 / 1.2 has fifteen."""


@functools.lru_cache(maxsize=1024)
def _places(number: float) -> int:
    """How many decimal places a number has as written."""
    digits, _, exponent = repr(float(number)).partition("e")
    return max(0, len(digits.partition(".")[2].removesuffix("0")) - int(exponent or 0)) if digits[-1].isdigit() else 0


def at_path(members: Any, path: str) -> Raw:
    """What stands in JSON at a path as `imu.acceleration.0`, None where no single value does."""
    for part in path.split("."):
        if isinstance(members, Mapping):
            members = members.get(part)
        elif isinstance(members, list) and part.isdecimal() and int(part) < len(members):
            members = members[int(part)]
        else:
            return None
    return None if isinstance(members, Mapping | list) else members
