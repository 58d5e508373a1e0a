"""Binary values laid out as in Python's struct, of a bounded size."""

from __future__ import annotations

import re
import struct
from typing import Any

from ..errors import SettingsError
from ..settings.limits import limit
from .numerals import short_float32

_CODE = re.compile(r"(\d*)\s*([a-zA-Z?])", re.ASCII)


class Layout:
    """A layout of values; those of single precision have the digits that are theirs.

    Parameters:
        text: in the syntax of Python's struct. Raises struct.error, UnicodeError.
    """

    def __init__(self, text: str) -> None:
        self._struct = struct.Struct(text)
        self.size = self._struct.size
        codes = [
            code
            for count, code in _CODE.findall(text)
            if code != "x"
            for _ in range(1 if code in "sp" else int(count or 1))
        ]
        self._float32 = [at for at, code in enumerate(codes) if code == "f"]

    def unpack(self, data: bytes) -> list[Any]:
        """The values in bytes of its size."""
        values = list(self._struct.unpack(data))
        for at in self._float32:
            values[at] = short_float32(values[at])
        return values


def layout_of(text: str, setting: str) -> Layout:
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
        return Layout(text)
    except (struct.error, UnicodeError) as error:
        raise SettingsError(setting, text, str(error), remedy) from None
