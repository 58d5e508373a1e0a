"""What a value of a record is: a number, a text or a state. No I/O."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from device_bridge import Reading
from device_bridge.fields import FieldSettings

MAX_TEXT = 1000
_TRUE, _FALSE = ("true", "1", "on", "yes"), ("false", "0", "off", "no")


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
