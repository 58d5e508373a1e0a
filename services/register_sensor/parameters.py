"""What of a profile depends on how a chip is wired or set up: a shunt, a gain. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from device_bridge import Settings, SettingsError

from .computed import ComputedSettings
from .fields import ChipField
from .transfers import Bytes, InsertSettings, MatchSettings

replace = msgspec.structs.replace
FieldT = TypeVar("FieldT", ChipField, ComputedSettings)
StructT = TypeVar("StructT", bound=msgspec.Struct)


class ParameterSettings(Settings, frozen=True, kw_only=True):
    """One number that a sensor's settings may change."""

    default: float
    valid: Annotated[tuple[float, float] | None, Meta(description="least and greatest value")] = None
    codes: Annotated[dict[str, int], Meta(description="values it can have, and how the chip writes them")] = {}
    description: str = ""

    def check(self, value: float, where: str) -> None:
        """Raises SettingsError for a value it cannot have."""
        if self.codes and self.code(value) is None:
            raise SettingsError(where, value, "is not possible", f"Write one of {', '.join(self.codes)}.")
        low, high = self.valid or (float("-inf"), float("inf"))
        if not low <= value <= high or value <= 0:
            raise SettingsError(where, value, "is not possible", f"Write {max(low, 0):g} to {high:g}, more than 0.")

    def code(self, value: float) -> int | None:
        """How the chip writes a value."""
        return next((code for text, code in self.codes.items() if float(text) == value), None)


class FieldChange(Settings, frozen=True, kw_only=True):
    """What a sensor's settings change of one field."""

    unit: str | None = None
    scale: float | None = None
    offset: float | None = None
    valid: tuple[float, float] | None = None
    decimals: int | None = None
    description: str | None = None


class Choice:
    """Values of a profile's parameters.

    Parameters:
        parameters: the profile's.
        values: those given, by name; the others have their default.
        where: in the settings.

    Raises SettingsError for a name or value that cannot be.
    """

    def __init__(self, parameters: Mapping[str, ParameterSettings], values: Mapping[str, float], where: str) -> None:
        self._parameters = parameters
        self._values = {name: parameter.default for name, parameter in parameters.items()} | dict(values)
        for name in values:
            if name not in parameters:
                remedy = f"Write one of {', '.join(parameters)}." if parameters else "This profile has none."
                raise SettingsError(where, name, "is no parameter of this profile", remedy)
            parameters[name].check(values[name], f"{where}.{name}")

    def scale(self, field: FieldT) -> FieldT:
        """A field, with scale and ranges as these values make them."""
        factor = 1.0
        for name, power in field.scaled_by.items():
            factor *= (self._values[name] / self._parameters[name].default) ** power
        if factor == 1.0:
            return field
        valid = field.valid and (_short(field.valid[0] * factor), _short(field.valid[1] * factor))
        scaled = replace(field, scale=_short(field.scale * factor), valid=valid)
        if isinstance(scaled, ChipField) and scaled.typical is not None:
            scaled = replace(scaled, typical=_short(scaled.typical * factor))
        return scaled

    def insert(self, number: int, inserts: tuple[InsertSettings, ...]) -> int:
        """A number with the codes of these values in their bits."""
        for put in inserts:
            code = self._parameters[put.parameter].code(self._values[put.parameter]) or 0
            mask = (1 << put.count) - 1 << put.bit
            number = number & ~mask | code << put.bit & mask
        return number

    def insert_bytes(self, data: Bytes, inserts: tuple[InsertSettings, ...]) -> Bytes:
        """The same for bytes."""
        return tuple(self.insert(int.from_bytes(bytes(data), "big"), inserts).to_bytes(len(data), "big"))

    def match(self, match: MatchSettings | None) -> MatchSettings | None:
        """The same for an expected number."""
        return match and replace(match, equals=self.insert(match.equals, match.insert))


def changed(field: StructT, change: FieldChange) -> StructT:
    """A field with the changes that are given."""
    members: dict[str, Any] = {name: getattr(change, name) for name in change.__struct_fields__}
    return replace(field, **{name: value for name, value in members.items() if value is not None})


def _short(number: float) -> float:
    return float(f"{number:.12g}")
