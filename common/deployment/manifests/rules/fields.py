"""Fields of manifests: whether they exist, and are of the kind that they have."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from ...documents import Where
from ...generations.facts import ANY, INTEGER, LIST, MAP, TEXT, TRUTH, Problem
from .liquid import placeholder

TYPES: dict[str, type[Any] | tuple[type[Any], ...]] = {TEXT: str, INTEGER: int, TRUTH: bool, LIST: list, MAP: dict}


def check_type(value: Any, kind: str, where: Where, key: str, *, in_template: bool) -> Iterator[Problem]:
    """A value of the kind that a field has; in a template, a variable is of any."""
    if kind == ANY or (in_template and placeholder(value)):
        return
    if not isinstance(value, TYPES[kind]) or (kind == INTEGER and isinstance(value, bool)):
        wanted = f"{'an ' if kind == INTEGER else '' if kind == TRUTH else 'a '}{kind}"
        yield where, f"{key} = {value!r} is not {wanted}", f"Write {wanted}."


def check_members(
    members: dict[str, Any], known: Mapping[str, str], where: Where, what: str, *, in_template: bool
) -> Iterator[Problem]:
    """Fields that exist, of the kind that they have."""
    yield from unknown(members, tuple(known), where, what)
    for key, value in members.items():
        if key in known:
            yield from check_type(value, known[key], (*where, key), key, in_template=in_template)


def unknown(members: Mapping[str, Any], known: tuple[str, ...], where: Where, what: str) -> Iterator[Problem]:
    """Fields that do not exist."""
    for key in members:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {close[0]}? " if close else ""
            rule = f"{what} has no {key!r}; it would be dropped without a word"
            yield (*where, key), rule, f"{hint}There are {', '.join(known)}."
