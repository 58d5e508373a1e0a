"""Readings out of raw values: number, text or state, with unit, scale and the values that mean none. No I/O."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from msgspec import Meta

from device_bridge import Quality, Quantity, Reading, Settings, Value

from .records import Raw

MAX_TEXT = 1000
_TRUE, _FALSE = ("true", "1", "on", "yes"), ("false", "0", "off", "no")


class FieldSettings(Settings, frozen=True, kw_only=True):
    """One value of a record, and what it means."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]*$", max_length=100, description="in readings")]
    key: Annotated[str | int, Meta(description="where it stands in the record; by default its name")] = ""
    unit: Annotated[str, Meta(max_length=20, description="SenML unit")] = ""
    kind: Literal["number", "text", "boolean"] = "number"
    scale: Annotated[float, Meta(description="what a number is multiplied with")] = 1.0
    offset: Annotated[float, Meta(description="what is added then")] = 0.0
    decimal: Annotated[Literal[".", ","], Meta(description="decimal mark of numbers in text")] = "."
    values: Annotated[dict[str, Value], Meta(description="meaning of each raw value, where only these can come")] = {}
    missing: Annotated[tuple[str | float, ...], Meta(description="raw values that mean: no value")] = ()
    valid: Annotated[tuple[float, float] | None, Meta(description="least and greatest value it can have")] = None
    description: str = ""

    @property
    def place(self) -> str | int:
        """Its key in the record."""
        return self.name if self.key == "" else self.key

    @property
    def quantity(self) -> Quantity:
        """What it measures."""
        return Quantity(self.name, self.unit, self.valid, self.description)

    def reading(self, raw: Raw) -> Reading:
        """What a raw value says; one that says nothing is bad, with the reason."""
        if isinstance(raw, str):
            raw = raw.strip()
        if raw is None or raw == "":
            return self.bad("no value")
        if self._is_missing(raw):
            return self.bad(f"no value ({raw})")
        if self.values:
            value = self.values.get(str(raw))
            return self._good(value) if value is not None else self.bad(f"unknown value {str(raw)[:50]!r}")
        if self.kind == "text":
            return self._good(str(raw)[:MAX_TEXT])
        if self.kind == "boolean":
            word = str(raw).lower()
            return (
                self._good(word in _TRUE) if word in (*_TRUE, *_FALSE) else self.bad(f"not a state ({word[:50]!r})")
            )
        return self._number(raw)

    def bad(self, reason: str) -> Reading:
        """No value, and why."""
        return Reading(self.name, None, self.unit, quality=Quality.BAD, reason=reason)

    def _good(self, value: Value) -> Reading:
        return Reading(self.name, value, self.unit)

    def _number(self, raw: str | float) -> Reading:
        try:
            number: float = float(raw.replace(self.decimal, ".").replace(" ", "")) if isinstance(raw, str) else raw
        except ValueError:
            number = math.nan
        if isinstance(number, bool) or not math.isfinite(number):
            return self.bad(f"not a number ({str(raw)[:50]!r})")
        return self._good(number if self.scale == 1 and not self.offset else number * self.scale + self.offset)

    def _is_missing(self, raw: Raw) -> bool:
        if not self.missing:
            return False
        if raw in self.missing or str(raw) in self.missing:
            return True
        try:
            return float(str(raw)) in self.missing
        except ValueError:
            return False
