"""Templates of applications: variables that are declared, given, and mean something."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .container import Problem
from .documents import Document, Where

_VARIABLE = re.compile(r"\{\{\s*([a-zA-Z0-9._-]+)")
_KEY = re.compile(r"[a-z0-9.-]+")


def check_variables(spec: dict[str, Any]) -> Iterator[Problem]:
    """What a template declares, and what it uses."""
    declared = _declared(spec)
    for at, variable in enumerate(_list(spec.get("variables"))):
        key = variable.get("key") if isinstance(variable, dict) else None
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            rule = f"variable {key!r} cannot be one"
            yield ("spec", "variables", at), rule, "Lower-case letters, digits, dots and hyphens."
    for where, name in _used(spec.get("application"), ("spec", "application")):
        if name not in declared:
            rule = f"variable {name!r} is not declared, and would be rendered as null"
            yield where, rule, f"Declare it under variables. There are {', '.join(declared) or 'none'}."

    defaults = {
        str(variable.get("key")): variable.get("defaultValue")
        for variable in _list(spec.get("variables"))
        if isinstance(variable, dict)
    }
    for where, text in _env_values(spec.get("application"), ("spec", "application")):
        bare = re.fullmatch(r"\{\{\s*([a-z0-9.-]+)\s*\}\}", text)
        if bare and isinstance(defaults.get(bare[1]), int | float):
            remedy = f'Write "{{{{ {bare[1]} | toString }}}}".'
            yield where, f"variable {bare[1]!r} is a number, which is refused in env", remedy


def check_template_use(use: Any, where: Where, templates: Mapping[str, Document]) -> Iterator[Problem]:
    """An application made from a template; that one's variables are known if it stands in the same files."""
    if not isinstance(use, dict) or not isinstance(use.get("name"), str):
        yield where, "template without a name", "Write template: {name: …, variables: […]}."
        return
    template = templates.get(use["name"])
    if template is None:
        return
    spec = template.content.get("spec")
    declared = _declared(spec if isinstance(spec, dict) else {})
    given = {
        variable.get("key"): at
        for at, variable in enumerate(_list(use.get("variables")))
        if isinstance(variable, dict)
    }
    for key, at in given.items():
        if key not in declared:
            rule = f"variable {key!r} is ignored: template {use['name']!r} does not have it"
            yield (*where, "variables", at), rule, f"There are {', '.join(declared)}."
    for key, has_default in declared.items():
        if not has_default and key not in given:
            yield where, f"variable {key!r} is not given, and would be rendered as null", "Give it a value."


def _declared(spec: dict[str, Any]) -> dict[str, bool]:
    """Variables, each with whether it has a default."""
    return {
        str(variable.get("key")): "defaultValue" in variable
        for variable in _list(spec.get("variables"))
        if isinstance(variable, dict)
    }


def _used(value: Any, where: Where) -> Iterator[tuple[Where, str]]:
    if isinstance(value, str):
        for name in _VARIABLE.findall(value):
            yield where, name
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _used(inner, (*where, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _used(inner, (*where, at))


def _env_values(application: Any, where: Where) -> Iterator[tuple[Where, str]]:
    services = application.get("microservices") if isinstance(application, dict) else None
    for at, service in enumerate(_list(services)):
        container = service.get("container") if isinstance(service, dict) else None
        for n, variable in enumerate(_list(container.get("env") if isinstance(container, dict) else None)):
            value = variable.get("value") if isinstance(variable, dict) else None
            if isinstance(value, str):
                yield (*where, "microservices", at, "container", "env", n, "value"), value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
