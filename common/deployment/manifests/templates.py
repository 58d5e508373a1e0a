"""What a Controller renders: text in braces (Liquid), in applications and in templates of them.

LiquidJS 9.17 renders every text value, never a key. A value that is one output as a whole keeps the output's type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate, Environment, RenderContext, Undefined
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError

from ..documents import Where, mapped
from ..generations import Generation
from .problems import Problem

_OUTPUT = re.compile(r"\{\{[^{}]*\}\}")
_NAME = re.compile(r"\{\{\s*([a-z0-9-]+)\s*\}\}")
_GIVEN = {"self"}
"""The application itself."""
_OF_LIQUIDJS = (
    *("abs", "append", "at_least", "at_most", "capitalize", "ceil", "concat", "date", "default", "divided_by"),
    *("downcase", "escape", "escape_once", "first", "floor", "join", "last", "lstrip", "map", "minus", "modulo"),
    *("newline_to_br", "plus", "prepend", "remove", "remove_first", "replace", "replace_first", "reverse", "round"),
    *("rstrip", "size", "slice", "sort", "sort_natural", "split", "strip", "strip_html", "strip_newlines", "times"),
    *("truncate", "truncatewords", "uniq", "upcase", "url_decode", "url_encode", "where"),
)
_LOOKUPS = ("findAgent", "findApplication", "findEdgeResource", "findMicroserviceAgent")


class _Unknown(Exception):  # noqa: N818 - not an error
    """A value that only the Controller knows."""


def _look_up(*_: Any) -> Any:
    raise _Unknown


def _from_json(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


def _to_string(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_CONVERSIONS = {"toNumber": _from_json, "toBoolean": _from_json, "toString": _to_string}
_ENGINE = Environment()
_ENGINE.filters = {
    **{name: _ENGINE.filters[name] for name in _OF_LIQUIDJS},
    **dict.fromkeys(_LOOKUPS, _look_up),
    **_CONVERSIONS,
    "json": json.dumps,
}


def has_braces(text: str) -> bool:
    """Whether something of a text is rendered."""
    return "{{" in text or "{%" in text


def is_placeholder(value: Any) -> bool:
    """Whether a value is one output as a whole, which keeps the output's type."""
    return isinstance(value, str) and _OUTPUT.fullmatch(value) is not None


def texts(value: Any, where: Where) -> Iterator[tuple[Where, str]]:
    """Every text in a value, keys of mappings included."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield (*where, key), str(key)
            yield from texts(inner, (*where, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from texts(inner, (*where, at))


def check_quotes(config: Any, where: Where) -> Iterator[Problem]:
    """Double quotes in settings, which a Controller un-escapes."""
    for path, text in texts(config, where):
        if '"' in text:
            rule = "a double quote in config: the Controller stores text that is not JSON any more"
            yield Problem(path, rule, "Write it without double quotes.")


def check_literal(value: Any, where: Where) -> Iterator[Problem]:
    """A value that is to arrive as it is written: settings, and what is put in their place."""
    yield from check_quotes(value, where)
    for path, text in texts(value, where):
        if has_braces(text):
            rule = f"{text!r}: the Controller renders what is written in {{{{ }}}} or {{% %}}"
            yield Problem(path, rule, "Leave the braces out.")


def check_rendered(
    value: Any, where: Where, generation: Generation, declared: Mapping[str, Any] | None = None
) -> Iterator[Problem]:
    """What the Controller will render, of an application or a template of one.

    Settings of a plain application are rendered as the text of their JSON: the keys among them, too.

    Parameters:
        value: any part.
        where: it is written.
        generation: of the Controller.
        declared: a template's variables; None for a plain application, which has none.
    """
    for path, text in texts(value, where):
        if not has_braces(text):
            continue
        if path and path[-1] == text and (declared is not None or "config" not in path[:-1]):
            yield Problem(path, f"{text!r}: keys are not rendered", "Write the key as it is to be.")
            continue
        problems = [Problem(path, *each) for each in _wrong(text, generation, declared or {})]
        yield from problems
        if declared is None and not problems:
            rule = f"{text!r} is rendered by the Controller"
            yield Problem(path, rule, "Leave the braces out if that is not intended.", warning=True)


def names_in(text: str) -> frozenset[str]:
    """The variables that a text uses."""
    parsed = _parse(text)
    return frozenset() if isinstance(parsed, str) else parsed[1]


def fill(value: Any, variables: Mapping[str, Any]) -> Any:
    """A template's value as the Controller renders it; what only the Controller knows stays as it is."""
    return mapped(value, lambda text: _rendered(text, variables) if has_braces(text) else text)


def _rendered(text: str, variables: Mapping[str, Any]) -> Any:
    if name := _NAME.fullmatch(text):
        return variables.get(name[1])
    parsed = _parse(text)
    if isinstance(parsed, str):
        return text
    template = parsed[0]
    try:
        (output, *more) = template.nodes
        if more or not isinstance(output, OutputNode):
            return template.render(**variables)
        found = output.expression.evaluate(RenderContext(template, globals=variables))
    except (_Unknown, LiquidError):
        return text
    return None if isinstance(found, Undefined) else found


def _wrong(text: str, generation: Generation, declared: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    parsed = _parse(text)
    if isinstance(parsed, str):
        rule = f"{text!r} cannot be rendered ({parsed}); the Controller stores an error message in its place"
        yield rule, "Close each {{ with }} and each {% with %}, or leave them out.", False
        return
    _, names, filters = parsed
    for name in sorted(names):
        if name not in declared and name not in _GIVEN:
            declare = f"Declare it under variables. There are {', '.join(declared) or 'none'}."
            yield f"variable {name!r} is not declared, and would be rendered as null", declare, False
    for name in filters:
        if name == "map":
            yield "filter map gives a list, which is refused", "Write {% assign a = … %}{{ a.member }}.", False
        elif name not in _ENGINE.filters:
            yield f"there is no filter {name!r}", f"ioFog adds {', '.join((*_LOOKUPS, *_CONVERSIONS))}.", False
        elif name == "findEdgeResource" and "EdgeResource" not in generation.kinds:
            yield f"{generation.name} has no edge resources", "Write the value itself.", False
        elif name == "findEdgeResource" and generation.has_nats:
            yield "findEdgeResource is answered with status 500 by a Controller on SQLite", "Write the value.", True


@lru_cache(maxsize=1000)
def _parse(text: str) -> tuple[BoundTemplate, frozenset[str], list[str]] | str:
    """The parsed text with its variables and filters, or why it cannot be parsed."""
    try:
        template = _ENGINE.from_string(text)
    except LiquidError as error:
        return str(error).splitlines()[0]
    analysis = template.analyze()
    return template, frozenset(analysis.globals), list(analysis.filters)
