"""Templates of applications: variables that are declared, given, and mean something."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...documents import Document, Where
from ...generations.facts import Problem
from .liquid import check_quotes, filled

_KEY = re.compile(r"[a-z0-9.-]+")
_DECLARED = ("key", "description", "defaultValue")
_GIVEN = ("key", "value")
_BARE = re.compile(r"\{\{\s*([a-z0-9.-]+)\s*\}\}")


def declared(spec: Any) -> dict[str, dict[str, Any]]:
    """A template's variables by their key."""
    variables = _variables(spec)
    return {str(variable.get("key")): variable for variable in variables if isinstance(variable, dict)}


def check_variables(spec: dict[str, Any]) -> Iterator[Problem]:
    """What a template declares."""
    keys: set[str] = set()
    for at, variable in enumerate(_variables(spec)):
        here = ("spec", "variables", at)
        key = variable.get("key") if isinstance(variable, dict) else None
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            yield here, f"variable {key!r} cannot be one", "Lower-case letters, digits, dots and hyphens."
            continue
        if key in keys:
            yield here, f"variable {key!r} is used twice", "Declare it once."
        keys.add(key)
        yield from _members(variable, _DECLARED, here)
    application, defaults = spec.get("application"), values_of(spec, {})
    yield from numbers_in_env(application, ("spec", "application"), defaults)
    for service in _listed(application, "microservices"):
        config = service.get("config") if isinstance(service, dict) else None
        for _, rule, remedy in check_quotes(filled(config, defaults), ()):
            yield ("spec", "variables"), rule, remedy


def check_template_use(use: Any, where: Where, templates: Mapping[str, Document]) -> Iterator[Problem]:
    """An application made from a template; that one's variables are known if it stands in the same files."""
    if not isinstance(use, dict) or not isinstance(use.get("name"), str):
        yield where, "template without a name", "Write template: {name: …, variables: […]}."
        return
    given: dict[str, int] = {}
    for at, variable in enumerate(_variables(use)):
        here = (*where, "variables", at)
        if not isinstance(variable, dict) or "value" not in variable or "key" not in variable:
            yield here, "a variable without key or value", "Write {key: …, value: …}."
            continue
        yield from _members(variable, _GIVEN, here)
        given[str(variable["key"])] = at
    template = templates.get(use["name"])
    if template is None:
        return
    known = declared(template.content.get("spec"))
    for key, at in given.items():
        if key not in known:
            rule = f"variable {key!r} is ignored: template {use['name']!r} does not have it"
            yield (*where, "variables", at), rule, f"There are {', '.join(known)}."
    for key, variable in known.items():
        if "defaultValue" not in variable and key not in given:
            yield where, f"variable {key!r} is not given, and would be rendered as null", "Give it a value."


def values_of(template: Mapping[str, Any], use: Any) -> dict[str, Any]:
    """What a template's variables are in an application; their defaults where that says nothing."""
    values = {key: variable.get("defaultValue") for key, variable in declared(template).items()}
    return values | {str(one.get("key")): one.get("value") for one in _variables(use) if isinstance(one, dict)}


def numbers_in_env(application: Any, where: Where, values: Mapping[str, Any]) -> Iterator[Problem]:
    """Variables in env that are numbers, which a Controller refuses where a template puts them in."""
    for path, text in _env_values(application, where):
        bare = _BARE.fullmatch(text)
        if bare and isinstance(values.get(bare[1]), int | float):
            remedy = f'Write "{{{{ {bare[1]} | toString }}}}".'
            yield path, f"variable {bare[1]!r} is a number, which is refused in env", remedy


def made_from(use: Any, templates: Mapping[str, Document]) -> dict[str, Any] | None:
    """The application that a Controller makes of a template; None when the template does not stand in the files."""
    template = templates.get(str(use.get("name"))) if isinstance(use, dict) else None
    spec = template.content.get("spec") if template is not None else None
    application = spec.get("application") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(application, dict):
        return None
    made: dict[str, Any] = filled(application, values_of(spec, use))
    return made


def _members(variable: dict[str, Any], known: tuple[str, ...], where: Where) -> Iterator[Problem]:
    for name in variable:
        if name not in known:
            yield (
                (*where, name),
                f"a variable has no {name!r} here; it would be dropped",
                f"Write {', '.join(known)}.",
            )


def _env_values(application: Any, where: Where) -> Iterator[tuple[Where, str]]:
    for at, service in enumerate(_listed(application, "microservices")):
        container = service.get("container") if isinstance(service, dict) else None
        for n, variable in enumerate(_listed(container, "env")):
            value = variable.get("value") if isinstance(variable, dict) else None
            if isinstance(value, str):
                yield (*where, "microservices", at, "container", "env", n, "value"), value


def _variables(holder: Any) -> list[Any]:
    return _listed(holder, "variables")


def _listed(holder: Any, key: str) -> list[Any]:
    found = holder.get(key) if isinstance(holder, dict) else None
    return found if isinstance(found, list) else []
