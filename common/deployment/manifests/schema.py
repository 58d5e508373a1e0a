"""Manifests judged by JSON Schemas, whose errors become sentences with a remedy.

Schemas say what is peculiar in annotations: `errorMessage` (by keyword), `remedy`, `severity` and, where a value must
not be printed, `writeOnly`. The rest is said here, by keyword. One keyword is of this project: `uniqueBy` names a
member that no two items of a list have in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from iofog_sdk import did_you_mean

from ..documents import Where
from ..generations import Generation, Schema, fields, generations_with
from .problems import Problem
from .templates import has_braces, is_placeholder

_TYPES = {
    "string": "text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}
_MESSAGES = {
    "type": "{field} {is_} {value!r}, which is not {types}",
    "enum": "{field} {is_} {value!r}, which is refused",
    "pattern": "{field} {is_} {value!r}, which is refused",
    "minimum": "{field} {is_} {value!r}, which is too small",
    "exclusiveMinimum": "{field} {is_} {value!r}, which is too small",
    "maximum": "{field} {is_} {value!r}, which is too large",
    "minItems": "{field} is empty",
    "minLength": "{field} is empty",
    "maxLength": "{field} is too long",
    "required": "{title} without {name}",
    "uniqueBy": "variable {name!r} is used twice",
}
_REMEDIES = {
    "type": "Write {types}.",
    "enum": "Write {choices}.",
    "minimum": "Write {bound} or more.",
    "exclusiveMinimum": "Write more than {bound}.",
    "maximum": "Write {bound} or less.",
    "maxLength": "Write {bound} characters at most.",
    "required": "Write {name}.",
    "uniqueBy": "Keep one.",
}
_PLAIN_PARENTS = ("spec", "container", "application", "microservices")
_SHOWN, _LISTED = 60, 8


def judge(content: Any, schema: Schema, generation: Generation | None = None, where: Where = ()) -> Iterator[Problem]:
    """What does not fit a schema.

    Parameters:
        content: a document, or a part of one.
        schema: of the generation, or a part of it.
        generation: of a manifest; its Controller renders what is written in braces: such a value is not known yet.
        where: the content is written.
    """
    validator = _Plain if generation is None or generation.is_edgelet_alone else _Rendered
    for error in validator(schema).iter_errors(content):
        yield _problem(error, generation, where)


def _problem(error: ValidationError, generation: Generation | None, where: Where) -> Problem:
    if error.context and "errorMessage" not in error.schema:  # type: ignore[operator]
        return _problem(error.context[0], generation, where)  # of several forms, the first is the usual one
    schema: Schema = error.schema  # type: ignore[assignment]
    keyword, path = str(error.validator), (*where, *error.absolute_path)
    name = error.message if keyword in _NAMING else ""
    words = {
        "field": _field(path),
        "is_": "holds" if path and isinstance(path[-1], int) else "=",
        "value": _shown(error.instance, schema),
        "title": schema.get("title", _field(path)),
        "name": name,
        "generation": generation.name if generation else "",
        "types": _types(schema.get("type")),
        "choices": _choices(schema.get("enum", ())),
        "bound": error.validator_value,
    }
    message = str(schema.get("errorMessage", {}).get(keyword, _MESSAGES.get(keyword, "{field} = {value!r}")))
    member = schema.get("properties", {}).get(name)
    remedy = schema.get("remedy") or (member.get("remedy") if isinstance(member, dict) else None)
    remedy = remedy or _REMEDIES.get(keyword, "Write it differently.").format(**words)
    if keyword == "additionalProperties":
        message, remedy = _unknown(name, schema, generation)
    return Problem(path, message.format(**words), remedy, schema.get("severity") == "warning")


def _unknown(name: str, schema: Schema, generation: Generation | None) -> tuple[str, str]:
    known = fields(schema)
    remedy = did_you_mean(name, known) or f"There are {', '.join(known)}."
    if generation is None:
        return "{title} has no {name!r}", remedy
    effect = schema.get("errorMessage", {}).get("additionalProperties", "it would be dropped without a word")
    message = f"{{title}} of {{generation}} has no {{name!r}}: {effect}"
    if others := generations_with(str(schema.get("title")), name):
        return f"{message}. It exists in {', '.join(others)}", "Leave it out, or deploy for a generation that has it."
    return message, remedy


def _field(path: Where) -> str:
    names = [str(step) for step in path if isinstance(step, str)]
    return ".".join(names[-1:] if len(names) > 1 and names[-2] in _PLAIN_PARENTS else names[-2:]) or "the document"


def _choices(values: Sequence[Any]) -> str:
    *others, last = map(str, values or ("",))
    if len(others) > _LISTED:
        others, last = others[:_LISTED], f"another of the {len(values)} there are"
    return f"{', '.join(others)} or {last}" if others else last


def _types(types: Any) -> str:
    return " or ".join(_TYPES.get(one, one) for one in ([types] if isinstance(types, str) else types or ()))


def _shown(value: Any, schema: Schema) -> Any:
    if schema.get("writeOnly"):
        return "…"
    return value if len(repr(value)) <= _SHOWN else f"{str(value)[:_SHOWN]}…"


def _required(_: Any, names: list[str], instance: Any, __: Schema) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        yield from (ValidationError(name) for name in names if name not in instance)


def _dependent(validator: Any, names: dict[str, list[str]], instance: Any, schema: Schema) -> Iterator[Any]:
    for name, needed in names.items():
        if isinstance(instance, dict) and name in instance:
            yield from _required(validator, needed, instance, schema)


def _additional(validator: Any, allowed: Any, instance: Any, schema: Schema) -> Iterator[ValidationError]:
    for key in instance if isinstance(instance, dict) else ():
        if key in schema.get("properties", {}):
            continue
        if allowed is False:
            yield ValidationError(key, path=[key])
        else:
            yield from validator.descend(instance[key], allowed, path=key)


def _unique(_: Any, key: str, instance: Any, __: Schema) -> Iterator[ValidationError]:
    taken: set[str] = set()
    for at, item in enumerate(instance if isinstance(instance, list) else ()):
        name = str(item.get(key, "")) if isinstance(item, dict) else ""
        if name and name in taken:
            yield ValidationError(name, path=[at])
        taken.add(name)


_NAMING = {
    "uniqueBy": _unique,
    "required": _required,
    "dependentRequired": _dependent,
    "additionalProperties": _additional,
}
_OF_VALUES = ("enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum")


def _unless_rendered(keyword: str) -> Any:
    original = Draft202012Validator.VALIDATORS[keyword]

    def check(validator: Any, value: Any, instance: Any, schema: Schema) -> Iterator[Any]:
        if keyword == "type" and is_placeholder(instance):
            return
        if keyword != "type" and value != {} and isinstance(instance, str) and has_braces(instance):
            return
        yield from original(validator, value, instance, schema) or ()

    return check


_extend: Any = extend
_Plain = _extend(Draft202012Validator, _NAMING)
_Rendered = _extend(_Plain, {keyword: _unless_rendered(keyword) for keyword in ("type", "not", *_OF_VALUES)})
