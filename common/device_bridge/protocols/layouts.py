"""Binary values laid out as in Python's struct, of a bounded size."""

from __future__ import annotations

import struct

from ..errors import SettingsError
from ..settings.limits import limit


def layout_of(text: str, setting: str) -> struct.Struct:
    """The layout that a format describes; its size is judged before anything of that size is made.

    Parameters:
        text: in the syntax of Python's struct.
        setting: dotted path of it, for errors.

    Raises SettingsError.
    """
    remedy = "See Python's struct for the syntax."
    try:
        size = struct.calcsize(text)
        if size > limit("record"):
            rule = f"describes {size} bytes; a record has at most {limit('record')}"
            raise SettingsError(setting, text, rule, "Write smaller counts.")
        return struct.Struct(text)
    except (struct.error, UnicodeError) as error:
        raise SettingsError(setting, text, str(error), remedy) from None
