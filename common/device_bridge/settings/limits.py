"""How large settings may be: one table, judged on what a source holds before anything is made of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..errors import SettingsError


class Limit(NamedTuple):
    """The most there may be of something, and what it is."""

    most: int
    of: str


LIMITS: Mapping[str, Limit] = {
    "source": Limit(1024 * 1024, "bytes of a settings file, characters of ioFog's config"),
    "depth": Limit(32, "objects and lists in one another"),
    "members": Limit(1000, "members of an object, items of a list"),
    "values": Limit(20_000, "values in one source"),
    "text": Limit(16_384, "characters of a text or a name"),
    "pattern": Limit(2000, "characters of a regular expression"),
    "repetitions": Limit(1000, "the count in a regular expression's `{n}`"),
    "pattern_steps": Limit(5000, "characters, classes and branches of a regular expression, times their counts"),
    "pattern_choices": Limit(12, "repetitions or branches that the next character does not decide, in one pattern"),
    "matched": Limit(4096, "characters of a text that a regular expression is matched with"),
    "record": Limit(65_536, "bytes that a binary format describes"),
    "width": Limit(200, "characters that a place in a template is filled with"),
}
"""What bounds memory and time whatever the settings say; a setting may have narrower limits of its own."""
LEAST_INTEGER, MOST_INTEGER = -(2**63), 2**64 - 1


def limit(name: str) -> int:
    """The most there may be, by its name in the table."""
    return LIMITS[name].most


def check_limits(members: Mapping[str, Any], source: str) -> None:
    """Raises SettingsError for the first value of a source that is beyond a limit or that nothing can be made of.

    Parameters:
        members: as they were decoded.
        source: for the error.
    """
    for count, (path, value, depth) in enumerate(_values(members)):
        if count > limit("values"):
            raise SettingsError("", None, f"more than {limit('values')} values", "Write fewer.", source=source)
        if (problem := _problem(value, depth)) is not None:
            raise SettingsError(path, value, *problem, source=source)


def _values(members: Mapping[str, Any]) -> Iterator[tuple[str, Any, int]]:
    """Every value with its dotted path and depth, names included; without recursion, for depth is what is judged."""
    waiting: list[tuple[str, Any, int]] = [("", members, 0)]
    while waiting:
        path, value, depth = waiting.pop()
        yield path, value, depth
        if isinstance(value, Mapping):
            for name, inner in value.items():
                below = f"{path}.{name}" if path else str(name)
                if _text_problem(name) is not None:
                    yield path or "a name", name, depth
                waiting.append((below, inner, depth + 1))
        elif isinstance(value, list):
            waiting += [(f"{path}.{at}", inner, depth + 1) for at, inner in enumerate(value)]


def _problem(value: object, depth: int) -> tuple[str, str] | None:
    """Rule and remedy."""
    match value:
        case str():
            return _text_problem(value)
        case dict() | list():
            if depth > limit("depth"):
                return f"is nested more than {limit('depth')} levels deep", "Write flat objects."
            if len(value) > limit("members"):
                return f"has {len(value)} members", f"Write at most {limit('members')}."
        case bool():
            return None
        case int() if not LEAST_INTEGER <= value <= MOST_INTEGER:
            return "is larger than an integer of 64 bits", "Write a smaller number."
        case float() if not math.isfinite(value):
            return "is not a finite number", "Write a number, or leave the setting out."
    return None


def _text_problem(text: str) -> tuple[str, str] | None:
    if len(text) > limit("text"):
        return f"is longer than {limit('text')} characters", "Write a shorter one."
    if "\0" in text:
        return "has a NUL character", r"Write the escape \x00 where a setting is about bytes."
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "has a character that is half of a pair, or bytes that are not UTF-8", "Write whole characters."
    return None
