"""Bytes to send, with places for a command's parameters. No I/O."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from device_bridge import CommandError, Parameter, SettingsError, Value, shown
from device_bridge.protocols import unescaped
from device_bridge.settings import limit

Kind: TypeAlias = Literal["number", "integer", "boolean", "text"]
TemplateText = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1000,
        description="bytes as text, escapes as \\r or \\xff; `{value}`, `{value:.2f}` or, binary, `{value:>H}`",
    ),
]
_PLACE = re.compile(r"\{\{|\}\}|\{(\w+)(?::([^{}]*))?\}")
_BINARY = re.compile(r"[<>][bBhHiIlLqQfd]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WIDTH = re.compile(r"\d+", re.ASCII)
_MAX_TEXT = limit("width")


class Template:
    """Bytes with places for parameters.

    Parameters:
        text: as in the settings.
        setting: dotted path of it, for errors.
        encoding: of text in parameters.

    Raises SettingsError for text that does not say which bytes.
    """

    def __init__(self, text: str, setting: str, encoding: str) -> None:
        self._parts: list[bytes | tuple[str, str]] = []
        self._encoding = encoding
        at = 0
        for match in _PLACE.finditer(text):
            self._parts.append(unescaped(text[at : match.start()], setting))
            if match[1] and any(int(width) > _MAX_TEXT for width in _WIDTH.findall(match[2] or "")):
                rule = f"is wider than the {_MAX_TEXT} characters that a place is filled with"
                raise SettingsError(setting, match[0], rule, "Write a smaller width.")
            self._parts.append((match[1], match[2] or "") if match[1] else match[0][:1].encode())
            at = match.end()
        self._parts.append(unescaped(text[at:], setting))

    @property
    def places(self) -> dict[str, str]:
        """The parameters, each with its format."""
        return dict(part for part in self._parts if isinstance(part, tuple))

    def fill(self, parameters: Mapping[str, Value]) -> bytes:
        """The bytes with every place filled. Raises CommandError for a value that does not fit."""
        filled = (
            part if isinstance(part, bytes) else self._filled(*part, parameters[part[0]]) for part in self._parts
        )
        return b"".join(filled)

    def _filled(self, name: str, spec: str, value: Value) -> bytes:
        place = f"{{{name}:{spec}}}" if spec else f"{{{name}}}"
        try:
            if _BINARY.fullmatch(spec):
                return struct.pack(spec, value)
            text = format(int(value) if isinstance(value, bool) else value, spec)
            data = text.encode(self._encoding)
        except (ValueError, TypeError, struct.error, OverflowError) as error:
            raise CommandError(f"`{name}` = {shown(value, name)} does not fit {place}: {error}") from None
        # A line end inside a value would be a second command.
        if _CONTROL.search(text) or len(text) > _MAX_TEXT:
            raise CommandError(f"`{name}` has control characters or more than {_MAX_TEXT} characters")
        return data


def parameter(
    name: str, spec: str, kind: Kind | None, limits: tuple[float, float] | None, choices: Sequence[Value]
) -> Parameter:
    """What a place in a template takes.

    Parameters:
        name, spec: of the place.
        kind: as in the settings, None to go by the rest.
        limits: least and greatest number.
        choices: the only values.
    """
    binary = _BINARY.fullmatch(spec)
    if kind is None:
        kind = _kind(spec, limits, choices)
    if binary and limits is None and spec[1] not in "fd":
        bits = 8 * struct.calcsize(spec)
        limits = (0, 2**bits - 1) if spec[1].isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return Parameter(name, kind, range=None if kind in ("text", "boolean") else limits, choices=tuple(choices))


def _kind(spec: str, limits: tuple[float, float] | None, choices: Sequence[Value]) -> Kind:
    if choices:
        first = choices[0]
        return "boolean" if isinstance(first, bool) else "text" if isinstance(first, str) else "number"
    if spec and spec[-1] in "bBhHiIlLqQdoxXc":
        return "number" if spec in ("<d", ">d") else "integer"
    if spec and spec[-1] in "eEfFgG%":
        return "number"
    return "number" if limits else "text"
