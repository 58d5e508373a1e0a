"""Values that are computed from several others, by one of a few forms. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

from msgspec import Meta

from device_bridge import Quality, Reading, is_finite

from .compensation import FORMULAS
from .fields import ChipValue

Range = tuple[float, float] | None
FORMS: dict[str, Callable[[Sequence[float], Sequence[float]], float]] = {
    "linear": lambda values, factors: math.fsum(a * x for a, x in zip(factors, values, strict=True)),
    "product": lambda values, factors: math.prod(math.pow(x, n) for n, x in zip(factors, values, strict=True)),
    "polynomial": lambda values, factors: math.fsum(a * values[0] ** n for n, a in enumerate(factors)),
    "minimum": lambda values, _: min(values),
    "maximum": lambda values, _: max(values),
}


class ComputedSettings(ChipValue, frozen=True, kw_only=True):
    """A value computed from others: form(values) * scale + offset, to six digits unless `decimals` says otherwise."""

    form: Annotated[
        Literal["linear", "product", "polynomial", "minimum", "maximum", "bmp388_temperature", "bmp388_pressure"],
        Meta(
            description="sum of factor * value; product of value to the power of factor; of one value, its powers; "
            "a chip's own formula, with its `calibration`"
        ),
    ]
    of: Annotated[tuple[str, ...], Meta(min_length=1, description="names of fields, or of values computed before")]
    factors: Annotated[
        tuple[float, ...],
        Meta(description="one for each value; of a polynomial, for its powers from 0; by default 1 each"),
    ] = ()

    def problem(self, known: Sequence[str]) -> tuple[object, str, str] | None:
        """What is wrong with it: value, rule, remedy.

        Parameters:
            known: names that it may use.
        """
        for name in self.of:
            if name not in known:
                return name, "is no value before it", f"Write one of {', '.join(known)}."
        if self.form == "polynomial" and len(self.of) != 1:
            return self.of, "is more than a polynomial has", "Name one value."
        if self.form in ("linear", "product") and self.factors and len(self.factors) != len(self.of):
            return self.factors, "is not a factor for each value", f"Write {len(self.of)}."
        if self.form == "polynomial" and not self.factors:
            return self.factors, "is no polynomial", "Write the factors of its powers, from 0."
        return None

    @property
    def is_calibrated(self) -> bool:
        """Whether it is a chip's own formula."""
        return self.form in FORMULAS

    def value(self, values: Sequence[float], constants: Sequence[float]) -> float:
        """What it comes to. Raises ArithmeticError, ValueError.

        Parameters:
            values: those it is computed of.
            constants: of the chip's calibration.
        """
        if self.is_calibrated:
            return FORMULAS[self.form](values, constants)
        return FORMS[self.form](values, self.factors or (1.0,) * len(values)) * self.scale + self.offset

    def computed(
        self, readings: Mapping[str, Reading], ranges: Mapping[str, Range], constants: Sequence[float] = ()
    ) -> Reading | None:
        """The reading; None when a value has none this time.

        Parameters:
            readings: by name, those computed before included.
            ranges: least and greatest value of each, where it has such.
            constants: of the chip's calibration.
        """
        if any(name not in readings for name in self.of):
            return None
        used = [readings[name] for name in self.of]
        for reading in used:
            if reading.value is None:
                return self.bad(f"{reading.name}: {reading.reason}")
        try:
            values = [float(reading.value or 0) for reading in used]
            value = self.value(values, constants)
        except (ZeroDivisionError, ValueError, OverflowError):
            return self.bad("cannot be computed from these values")
        if not is_finite(value):
            return self.bad("cannot be computed from these values")
        value = self.finished(float(f"{value:.6g}") if self.decimals is None else value)
        for reading, number in zip(used, values, strict=True):
            low, high = ranges.get(reading.name) or (-math.inf, math.inf)
            if reading.quality is not Quality.GOOD or not low <= number <= high:
                return self.quantity.uncertain(
                    value, f"{reading.name}: {reading.reason or f'outside {low} to {high}'}"
                )
        return self.good(value)


def with_computed(
    readings: Sequence[Reading], fields: Sequence[ChipValue], constants: Sequence[float] = ()
) -> list[Reading]:
    """The readings, and what is computed from them.

    Parameters:
        readings: of a chip's fields.
        fields: all of the chip, the computed ones in the order in which they are computed.
        constants: of the chip's calibration.
    """
    found = {reading.name: reading for reading in readings}
    ranges = {field.name: field.valid for field in fields}
    for field in fields:
        if isinstance(field, ComputedSettings) and (reading := field.computed(found, ranges, constants)) is not None:
            found[field.name] = reading
    return list(found.values())
