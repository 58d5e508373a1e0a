"""Settings by their old names and values: accepted for a release, with a warning."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import inspect

from .base import Settings


def with_new_names(
    members: Mapping[str, Any], model: type[Settings], warn: Callable[[str], None], path: str = ""
) -> dict[str, Any]:
    """Settings with old names and values replaced by the present ones.

    Parameters:
        members: as they were given.
        model: of these settings.
        warn: called with a sentence for each old name or value found.
        path: where these members are, with a dot at its end.
    """
    kinds = _kinds(model)
    renewed: dict[str, Any] = {}
    for name, value in members.items():
        present = model.renamed.get(name, name)
        if present != name:
            if present in members:
                continue  # given by both names: the present one counts
            warn(
                f"setting {path}{name} is now called {path}{present}; the old name will be refused in a later version"
            )
        old_values = model.renamed_values.get(present, {})
        if isinstance(value, str) and value in old_values:
            warn(f"{path}{present} = {value} is now written {old_values[value]}; the old value will be refused later")
            renewed[present] = old_values[value]
        else:
            renewed[present] = _renewed(value, kinds.get(present), warn, f"{path}{present}")
    return renewed


def _renewed(value: Any, kind: inspect.Type | None, warn: Callable[[str], None], path: str) -> Any:
    if isinstance(value, Mapping):
        if isinstance(kind, inspect.DictType):
            return {key: _renewed(item, kind.value_type, warn, f"{path}.{key}") for key, item in value.items()}
        for model in _models(kind, value):
            return with_new_names(value, model, warn, f"{path}.")
    elif isinstance(value, list | tuple):
        inner = getattr(kind, "item_type", None)
        return [_renewed(item, inner, warn, f"{path}.{at}") for at, item in enumerate(value)]
    return value


def _models(kind: inspect.Type | None, value: Mapping[str, Any]) -> list[type[Settings]]:
    """The model of an object; of several with a tag field, the one whose tag it has."""
    if isinstance(kind, inspect.Metadata):
        return _models(kind.type, value)
    if isinstance(kind, inspect.UnionType):
        return [model for one in kind.types for model in _models(one, value)]
    if not isinstance(kind, inspect.StructType) or not issubclass(kind.cls, Settings):
        return []
    tagged = kind.tag_field is not None
    return [] if tagged and value.get(str(kind.tag_field)) != kind.tag else [kind.cls]


@functools.cache
def _kinds(model: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    info = inspect.type_info(model)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - a Settings model is a Struct
    kinds: dict[str, inspect.Type] = {}
    for field in info.fields:
        kind = field.type
        while isinstance(kind, inspect.Metadata):
            kind = kind.type
        if isinstance(kind, inspect.UnionType):  # an optional list or object
            some = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
            kind = some[0] if len(some) == 1 else kind
            while isinstance(kind, inspect.Metadata):
                kind = kind.type
        kinds[field.encode_name] = kind
    return kinds
