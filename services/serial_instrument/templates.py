"""Bytes to send, with places for a command's parameters. No I/O."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from device_bridge import CommandError, Settings, SettingsError, Value

from .records import Pattern

Template = Annotated[
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
_MAX_TEXT = 200


class CommandTemplate(Settings, frozen=True, kw_only=True):
    """What a command sends, and what the device says to it."""

    send: Template
    answer: Annotated[Pattern, Meta(description="answer that means: done; without one none is awaited")] = ""
    failure: Annotated[Pattern, Meta(description="answer that means: not done")] = ""
    timeout_s: Annotated[float, Meta(gt=0, le=600, description="seconds to wait for the answer")] = 1.0
    range: Annotated[tuple[float, float] | None, Meta(description="least and greatest number that may be sent")] = (
        None
    )
    choices: Annotated[tuple[Value, ...], Meta(description="the only values that may be sent")] = ()
    description: str = ""


def literal(text: str, setting: str) -> bytes:
    """Bytes written as text with escapes. Raises SettingsError."""
    try:
        return text.encode("latin-1").decode("unicode_escape").encode("latin-1")
    except UnicodeError as error:
        remedy = r"Write bytes above 7e as \xNN; in JSON and TOML every backslash twice."
        raise SettingsError(setting, text, f"is no text of bytes: {error}", remedy) from None


def parameters_of(template: str) -> set[str]:
    """Names of the parameters a template has places for."""
    return {match[1] for match in _PLACE.finditer(template) if match[1]}


def fill(template: str, parameters: Mapping[str, Value], setting: str) -> bytes:
    """The bytes with every place filled. Raises CommandError for a parameter that is missing or does not fit."""
    out, at = bytearray(), 0
    for match in _PLACE.finditer(template):
        out += literal(template[at : match.start()], setting)
        out += _filled(match, parameters)
        at = match.end()
    return bytes(out + literal(template[at:], setting))


def check_parameters(command: CommandTemplate, parameters: Mapping[str, Value]) -> None:
    """Raises CommandError for parameters that the command has no place for or does not allow."""
    places = parameters_of(command.send)
    for name in parameters:
        if name not in places:
            raise CommandError(
                f"parameter `{name}` is unknown; this command has {', '.join(sorted(places)) or 'none'}"
            )
    for name in sorted(places):
        value = parameters.get(name)
        if command.choices and value not in command.choices:
            allowed = ", ".join(map(repr, command.choices))
            raise CommandError(f"`{name}` = {value!r} is not allowed; one of {allowed} is")
        if command.range is None:
            continue
        low, high = command.range
        if isinstance(value, str | bool | None) or not low <= value <= high:
            raise CommandError(f"`{name}` = {value!r} is no number from {low:g} to {high:g}")


def _filled(match: re.Match[str], parameters: Mapping[str, Value]) -> bytes:
    name, spec = match[1], match[2] or ""
    if name is None:
        return match[0][:1].encode()
    value = parameters.get(name)
    if value is None:
        raise CommandError(f"parameter `{name}` is missing")
    try:
        if _BINARY.fullmatch(spec):
            return struct.pack(spec, value)
        text = format(int(value) if isinstance(value, bool) else value, spec)
    except (ValueError, TypeError, struct.error, OverflowError) as error:
        raise CommandError(f"`{name}` = {value!r} does not fit {match[0]}: {error}") from None
    # A line end inside a value would be a second command.
    if _CONTROL.search(text) or len(text) > _MAX_TEXT:
        raise CommandError(f"`{name}` has control characters or more than {_MAX_TEXT} characters")
    return text.encode()
