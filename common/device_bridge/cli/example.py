"""A settings file to start from, as TOML: each setting with what it means, those that are needed written out."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from ..service import DeviceService
from ..settings.explain import explained_fields

_HEAD = """# Settings of {name}: {about}
# A # without a space after it is before a setting that has its default.
# Check this file with: python -m {name} --check --settings FILE
"""
_WIDTH = 100


def example_settings(service_type: type[DeviceService[Any]]) -> str:
    """The file, which the service takes as it stands."""
    given = _given(service_type)
    tables: dict[str, list[tuple[bool, str]]] = {"": []}
    for path, meaning, default, is_needed in explained_fields(service_type.settings_type):
        table, _, name = path.rpartition(".")
        value = _at(given, path)
        is_written = value is not None or is_needed
        text = _toml(default if value is None else value)
        comment = textwrap.fill(meaning, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
        line = f"{comment}\n{'' if is_written else '#'}{name} = {text}\n"
        tables.setdefault(table, []).append((is_written, line))
    about = (service_type.__doc__ or "").partition("\n")[0]
    parts = [_HEAD.format(name=service_type.name(), about=about)]
    for table, lines in tables.items():
        is_used = any(is_written for is_written, _ in lines)
        parts += [f"\n{'' if is_used else '#'}[{table}]\n" if table else "\n", *(line for _, line in lines)]
    return "".join(parts)


def _given(service_type: type[DeviceService[Any]]) -> dict[str, Any]:
    """The settings of the service's own example, in its deploy.toml; {} where that is not, as in images."""
    file = Path(import_module(service_type.name()).__path__[0]) / "deploy.toml"
    if not file.exists():
        return {}
    needs = msgspec.toml.decode(file.read_bytes())
    example = needs.get("example", {})
    members: dict[str, Any] = example.get("config", {})
    *parents, last = needs.get("device_setting", "").split(".")
    if last:
        place = members
        for parent in parents:
            place = place.setdefault(parent, {})
        place.setdefault(last, example.get("device", ""))
    return members


def _at(members: Any, path: str) -> Any:
    for part in path.split("."):
        members = members.get(part) if isinstance(members, Mapping) else None
    return members


def _toml(value: Any) -> str:
    """A value in one line of TOML."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return '""' if value is None else json.dumps(value, ensure_ascii=False)
