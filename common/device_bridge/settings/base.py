"""What every settings model is made of.

Durations are in seconds and their names carry no unit (`interval`, `timeout`); any other unit is in the name
(`max_bytes`) or in the description.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from ..errors import SettingsError

Seconds = Annotated[float, Meta(ge=0)]
Interval = Annotated[float, Meta(ge=0.01, le=86_400, description="seconds from reading to reading")]
Port = Annotated[int, Meta(ge=0, le=65535)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]*$", max_length=100)]
"""Of a reading, an input, an output, a device among several."""
OptionalName = Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9_./-]*)?$", max_length=100)]


class Settings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Base of every settings model: unknown members are errors, not silence.

    A subclass repeats `frozen=True, kw_only=True`: msgspec and type checkers ask for it class by class.
    """

    profiles: ClassVar[str] = ""
    """The package whose folder `profiles` holds ready settings; the model then has a setting `profile`."""
    default_profile: ClassVar[str] = ""
    profile_type: ClassVar[type[msgspec.Struct] | None] = None
    """What a profile's file describes; None where it holds some of these settings."""
    renamed: ClassVar[Mapping[str, str]] = {}
    """Old names of settings of this model, by which they are still accepted: old name to new name."""
    renamed_values: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """Old values of settings of this model: setting to old value to new value."""


def require_unique(field: str, values: Iterable[Hashable], remedy: str) -> None:
    """Raises SettingsError when a value occurs twice.

    Parameters:
        field: dotted path of the setting that the values come from.
        values: in the order of the settings.
        remedy: what to write instead.
    """
    seen: set[Hashable] = set()
    for value in values:
        if value in seen:
            raise SettingsError(field, value, "is used twice", remedy)
        seen.add(value)
