"""What every settings model is made of."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0)]
Port = Annotated[int, Meta(ge=0, le=65535)]


class Settings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Base of every settings model: unknown members are errors, not silence.

    A subclass repeats `frozen=True, kw_only=True`: msgspec and type checkers ask for it class by class.
    """

    profiles: ClassVar[str] = ""
    """The package whose folder `profiles` holds ready settings; the model then has a setting `profile`."""
    default_profile: ClassVar[str] = ""
