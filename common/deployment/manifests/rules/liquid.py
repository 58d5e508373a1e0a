"""Text that a Controller does not keep: it renders what stands in braces (LiquidJS), and breaks double quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...documents import Where
from ...generations.facts import MAYBE, Generation, Problem

_BRACES = re.compile(r"\{\{|\{%|\}\}|%\}")
_TAG = re.compile(r"\{\{-?(?P<output>[^{}]*?)-?\}\}|\{%-?(?P<tag>[^{}]*?)-?%\}")
_PLACEHOLDER = re.compile(r"\{\{\s*([a-z0-9.-]+)\s*(?:\|\s*(\w+)\s*)?\}\}")
_ASSIGN = re.compile(r"\s*assign\s+([A-Za-z_][\w-]*)\s*=(.*)", re.DOTALL)
_LITERAL = re.compile(r"'[^']*'|\"[^\"]*\"|-?\d+(\.\d+)?|true|false|null|nil|empty|blank")
_OF_IOFOG = (
    *("findAgent", "findApplication", "findEdgeResource", "findMicroserviceAgent"),
    *("toNumber", "toBoolean", "toString"),
)
_OF_LIQUID = (
    *("abs", "append", "at_least", "at_most", "capitalize", "ceil", "compact", "concat", "date", "default"),
    *("divided_by", "downcase", "escape", "escape_once", "first", "floor", "join", "json", "last", "lstrip"),
    *("minus", "modulo", "newline_to_br", "plus", "prepend", "remove", "remove_first", "replace"),
    *("replace_first", "reverse", "round", "rstrip", "size", "slice", "sort", "sort_natural", "split", "strip"),
    *("strip_html", "strip_newlines", "times", "truncate", "truncatewords", "uniq", "upcase", "url_decode"),
    *("url_encode", "where"),
)


def placeholder(value: Any) -> bool:
    """Whether a value is a template's variable as a whole, which keeps the variable's type."""
    return isinstance(value, str) and _PLACEHOLDER.fullmatch(value) is not None


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
    """Config without what the Controller breaks."""
    for path, text in texts(config, where):
        if '"' in text:
            rule = "a double quote in config: the Controller stores text that is no JSON any more"
            yield path, rule, "Write it without double quotes."


def check_literal(value: Any, where: Where) -> Iterator[Problem]:
    """A value that is to arrive as it is written: settings, and what stands for them."""
    yield from check_quotes(value, where)
    for path, text in texts(value, where):
        if _BRACES.search(text):
            yield (
                path,
                f"{text!r}: the Controller renders what stands in {{{{ }}}} or {{% %}}",
                "Leave the braces out.",
            )


def check_rendered(
    value: Any, where: Where, generation: Generation, declared: Mapping[str, Any] | None = None
) -> Iterator[Problem]:
    """What the Controller will render, of an application or a template of one.

    Parameters:
        value: any part.
        where: it stands.
        generation: of the Controller.
        declared: a template's variables; None for a plain application, which has none.
    """
    for path, text in texts(value, where):
        if not _BRACES.search(text):
            continue
        if path and path[-1] == text:
            yield path, f"{text!r}: keys are not rendered", "Write the key as it is to be."
            continue
        problems = list(_wrong(text, generation, declared or {}))
        yield from ((path, rule, remedy) for rule, remedy in problems)
        if declared is None and not problems:
            yield path, f"{MAYBE}{text!r} is rendered by the Controller", "Leave the braces out if that is not meant."


def filled(value: Any, variables: Mapping[str, Any]) -> Any:
    """A template's value as the Controller renders it; what is more than a variable becomes some text."""
    if isinstance(value, dict):
        return {key: filled(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, variables) for inner in value]
    if not isinstance(value, str):
        return value
    if match := _PLACEHOLDER.fullmatch(value):
        return _converted(variables.get(match[1]), match[2])
    return _TAG.sub(lambda tag: str(variables.get((tag["output"] or "").strip(), "rendered")), value)


def _converted(value: Any, filter_name: str | None) -> Any:
    if filter_name == "toString":
        return str(value)
    if filter_name == "toNumber":
        try:
            return int(value)
        except (TypeError, ValueError):
            return value
    if filter_name == "toBoolean":
        return value in (True, "true")
    return value


def _wrong(text: str, generation: Generation, declared: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if _BRACES.search(_TAG.sub("", text)):
        rule = f"{text!r}: braces that do not end; the Controller stores an error message in their place"
        yield rule, "Close each {{ with }} and each {% with %}, or leave them out."
        return
    assigned: set[str] = set()
    for tag in _TAG.finditer(text):
        expression, name = tag["output"], ""
        if expression is None:
            match = _ASSIGN.fullmatch(tag["tag"])
            if match is None:
                continue  # if, for and so on
            name, expression = match[1], match[2]
        head, *filters = (part.strip() for part in expression.split("|"))
        known = head in declared or head.split(".")[0] in assigned or _LITERAL.fullmatch(head)
        if not known:
            declare = f"Declare it under variables. There are {', '.join(declared) or 'none'}."
            yield f"variable {head!r} is not declared, and would be rendered as null", declare
        for one in filters:
            filter_name = one.split(":")[0].strip()
            if filter_name == "map":
                yield "filter map gives a list, which is refused", "Write {% assign a = … %}{{ a.member }}."
            elif filter_name not in (*_OF_IOFOG, *_OF_LIQUID):
                yield f"there is no filter {filter_name!r}", f"ioFog adds {', '.join(_OF_IOFOG)}."
            elif filter_name == "findEdgeResource" and "EdgeResource" not in generation.kinds:
                yield f"{generation.name} has no edge resources", "Write the value itself."
            elif filter_name == "findEdgeResource" and generation.has_nats:
                rule = f"{MAYBE}findEdgeResource is answered with status 500 by a Controller on SQLite"
                yield rule, "Write the value itself."
        if name:
            assigned.add(name)
