"""Explains settings to people: schema, tables, and errors that name field, value, rule and remedy."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from iofog_sdk import did_you_mean

from ..errors import SettingsError
from ..secrets import may_be_secret

if TYPE_CHECKING:
    from .base import Settings

Layers = list[tuple[str, dict[str, Any]]]
"""Sources by name with their members, later ones winning."""


SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(model: type[msgspec.Struct], title: str = "") -> dict[str, Any]:
    """The JSON Schema of what a file holds, as editors use it."""
    return {"$schema": SCHEMA_DIALECT, "title": title or model.__name__} | msgspec.json.schema(model)


def profile_schema(model: type[Settings], title: str) -> dict[str, Any]:
    """The schema of a profile's file: what it describes, or a part of the settings, and what it is for."""
    described = model.profile_type
    schema = json_schema(described or model, title)
    whole = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    whole["properties"] = {"about": {"type": "string", "description": "what it is for"}} | whole["properties"]
    for definition in schema["$defs"].values() if described is None else ():
        definition.pop("required", None)
    return schema


def explained_fields(
    model: type[msgspec.Struct], prefix: str = "", *, needed: bool = True
) -> Iterator[tuple[str, str, Any, bool]]:
    """Every setting: dotted path, what it means and can be, default or example (None: neither), whether it is needed.

    Parameters:
        model: whose settings.
        prefix: of their paths.
        needed: whether the model itself has to be there.
    """
    for name, field, inner in _own_fields(model):
        is_needed = needed and field.required
        if inner is not None:
            yield from explained_fields(inner, f"{prefix}{name}.", needed=is_needed)
            continue
        kind, meaning = _kind_and_meaning(field.type)
        if field.required:
            shown = next(iter((getattr(field.type, "extra_json_schema", None) or {}).get("examples", ())), None)
        else:
            given = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
            shown = msgspec.to_builtins(given)
        yield f"{prefix}{name}", f"{meaning} ({kind})" if meaning else kind, shown, is_needed


def settings_table(model: type[Settings]) -> str:
    """A Markdown table of every setting: name, type, default, meaning."""
    rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for path, field in fields(model):
        given = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        default = "**required**" if field.required else f"`{msgspec.json.encode(given).decode()}`"
        kind, meaning = _kind_and_meaning(field.type)
        default = default.replace("|", r"\|")  # a bar would end the cell
        rows.append(f"| `{path}` | {kind} | {default} | {meaning} |")
    return "\n".join(rows)


def fields(model: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting of a model by its dotted path, with msgspec's description of it."""
    for name, field, inner in _own_fields(model):
        if inner is None:
            yield prefix + name, field
        else:
            yield from fields(inner, f"{prefix}{name}.")


@functools.cache
def _own_fields(model: type[msgspec.Struct]) -> list[tuple[str, Any, type[msgspec.Struct] | None]]:
    """A model's fields: name, description, and the model inside."""
    from msgspec import inspect  # noqa: PLC0415 - 2 ms that a service without errors or variables does not pay

    own = []
    for field in inspect.type_info(model).fields:  # type: ignore[attr-defined]  # a Struct is described as a StructType
        kind = plain_type(field.type)
        own.append((field.encode_name, field, kind.cls if type(kind).__name__ == "StructType" else None))
    return own


def plain_type(kind: Any) -> Any:
    """The type inside its annotations and beside its `None`."""
    while True:
        if type(kind).__name__ == "Metadata":
            kind = kind.type
        elif type(kind).__name__ == "UnionType":
            some = [t for t in kind.types if type(t).__name__ != "NoneType"]
            if len(some) != 1:
                return kind
            kind = some[0]
        else:
            return kind


def _kind_and_meaning(kind: Any) -> tuple[str, str]:
    meaning = ""
    if type(kind).__name__ == "Metadata":
        meaning = (kind.extra_json_schema or {}).get("description", "")
    plain = plain_type(kind)
    names = {
        "StrType": "text",
        "IntType": "integer",
        "FloatType": "number",
        "BoolType": "true or false",
        "VarTupleType": "list",
        "TupleType": "list",
        "DictType": "object",
        "UnionType": "object",
    }
    if type(plain).__name__ == "LiteralType":
        return " or ".join(f"`{value}`" for value in plain.values), meaning
    text = names.get(type(plain).__name__, type(plain).__name__.removesuffix("Type").lower())
    if type(plain).__name__ == "UnionType":
        some = dict.fromkeys(names.get(type(plain_type(one)).__name__, "object") for one in plain.types)
        text = " or ".join(kind for kind in some if kind != "object") or text
    low, high = getattr(plain, "ge", None), getattr(plain, "le", None)
    if low is not None and high is not None:
        text += f", {low} to {high}"
    elif low is not None:
        text += f", at least {low}"
    return text, meaning


_AT = re.compile(r" - at `(?:key` in `)?\$(.*)`$")
_ITEM = re.compile(r"[^\[\]]+\[\d+\]")
_PART = re.compile(r"[^.\[\]]+")
_NAMED = re.compile(r"Object (contains unknown|missing required) field `(.*)`")


def explained(
    error: msgspec.ValidationError, model: type[msgspec.Struct], merged: dict[str, Any], layers: Layers
) -> SettingsError:
    """msgspec's finding as an error that names the source of the value and what to write instead."""
    text = str(error)
    at = _AT.search(text)
    path = (at.group(1) if at else "").lstrip(".")
    path = _with_names(path, merged)
    rule = text[: at.start()] if at else text
    if rule.startswith("Invalid"):  # it repeats the value whole
        rule = "is none of the values that it can have"
    named = _NAMED.match(rule)
    if named:
        path = f"{path}.{named.group(2)}".lstrip(".")
    known, kinds = _known_at(model, path, merged)
    if named:
        parent = path.rpartition(".")[0]
        siblings = _members_below(known, parent)
        if named.group(1) == "contains unknown":
            hint = _two_underscores(path, known, layers) or did_you_mean(named.group(2), siblings)
            remedy = f"{hint} Known here: {', '.join(siblings)}.".lstrip()
            return SettingsError(path, _at(merged, path), "unknown setting", remedy, source=_source(layers, path))
        rule = "is required"
    given = _at(merged, path)
    remedy = _remedy_of_kinds(kinds, given) if kinds else _remedy(known, path)
    rule = rule[:1].lower() + rule[1:]
    return SettingsError(path, given, rule, remedy, source=_source(layers, path))


def _with_names(path: str, merged: Any) -> str:
    """A path with the names of members whose names users choose, which msgspec writes as `[...]`.

    Of several members that may be meant, the one whose name may be of a secret: what is below it is not shown.
    """
    while "[...]" in path:
        before, _, after = path.partition("[...]")
        inside, below = _at(merged, before), after.partition("[...]")[0].lstrip(".")
        members = inside.items() if isinstance(inside, Mapping) else ()
        named = [name for name, value in members if _at({"_": value}, f"_.{below}") is not None]
        if len(named) > 1:
            named = [name for name in named if may_be_secret(str(name))][:1]
        if not named:
            break
        path = f"{before}.{named[0]}{after}"
    return path


def _known_at(model: type[msgspec.Struct], path: str, merged: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Every setting by its path, those of list items on the way to this one too; the kinds, where none is known."""
    known, kinds = dict(fields(model)), []
    for item in _ITEM.finditer(path):
        place = path[: item.end()]
        field = known.get(place.rpartition("[")[0])
        inner = plain_type(getattr(plain_type(field.type), "item_type", None)) if field is not None else None
        models = [kind.cls for kind in getattr(inner, "types", [inner]) if type(kind).__name__ == "StructType"]
        tag_field = models[0].__struct_config__.tag_field if len(models) > 1 else None
        tag = _at(merged, f"{place}.{tag_field}")
        chosen = next((each for each in models if not tag_field or each.__struct_config__.tag == tag), None)
        if chosen is not None:
            known |= fields(chosen, f"{place}.")
        elif path == f"{place}.{tag_field}":
            kinds = [str(each.__struct_config__.tag) for each in models]
    return known, kinds


def _remedy_of_kinds(kinds: list[str], given: Any) -> str:
    return f"{did_you_mean(str(given), kinds)} Known here: {', '.join(sorted(kinds))}.".lstrip()


def _two_underscores(path: str, known: Mapping[str, Any], layers: Layers) -> str:
    """The variable that was meant by one that has a single underscore between two levels."""
    if _source(layers, path) != "environment":
        return ""
    meant = next((name for name in known if name.replace(".", "_") == path.replace(".", "_")), "")
    return f"Write SETTING_{meant.upper().replace('.', '__')}, with two underscores." if meant else ""


def _members_below(known: Mapping[str, Any], parent: str) -> list[str]:
    prefix = f"{parent}." if parent else ""
    return sorted({path[len(prefix) :].split(".")[0] for path in known if path.startswith(prefix)})


def _remedy(known: Mapping[str, Any], path: str) -> str:
    field = known.get(path)
    if field is None:
        inside = _members_below(known, path)
        return f"Write an object with {', '.join(inside)}." if inside else "See the service's README."
    kind, meaning = _kind_and_meaning(field.type)
    extra = getattr(field.type, "extra_json_schema", None) or {}
    if "remedy" in extra:
        return str(extra["remedy"])
    examples = extra.get("examples")
    example = f", for example {msgspec.json.encode(examples[0]).decode()}" if examples else ""
    about = f" ({meaning})" if meaning else ""
    return f"Write {kind}{about}{example}."


def _at(members: Any, path: str) -> Any:
    for part in _PART.findall(path):
        if isinstance(members, list) and part.isdecimal() and int(part) < len(members):
            members = members[int(part)]
        else:
            members = members.get(part) if isinstance(members, Mapping) else None
    return members


def _source(layers: Layers, path: str) -> str:
    for name, layer in reversed(layers):
        if _at(layer, path) is not None:
            return name
    return ""
