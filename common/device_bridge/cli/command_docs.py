"""Declared commands, for people and programs: a Markdown table, a JSON Schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..command import CommandSpec, Parameter

_TYPES: dict[str, dict[str, Any]] = {"text": {"type": "string"}, "level": {"type": "number"}, "any": {}}


def commands_table(commands: Sequence[CommandSpec]) -> str:
    """A Markdown table of the commands a service takes."""
    rows = ["| command | parameters | meaning |", "|---|---|---|"]
    for spec in commands:
        parameters = "; ".join(
            f"`{parameter.name}`{'' if parameter.required else ' (optional)'}: {parameter.expected}"
            f"{f', {parameter.description}' if parameter.description else ''}"
            for parameter in spec.parameters
        )
        rows.append(f"| `{spec.name}` | {parameters} | {spec.description} |")
    return "\n".join(rows)


def commands_schema(commands: Sequence[CommandSpec]) -> dict[str, Any]:
    """Declared commands as an extension of the schema: each with a JSON Schema of its parameters; {} for none."""
    return {"x-commands": {spec.name: _command_schema(spec) for spec in commands}} if commands else {}


def _command_schema(spec: CommandSpec) -> dict[str, Any]:
    return {
        "type": "object",
        "description": spec.description,
        "properties": {parameter.name: _parameter_schema(parameter) for parameter in spec.parameters},
        "required": [parameter.name for parameter in spec.parameters if parameter.required],
        "additionalProperties": False,
    }


def _parameter_schema(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = dict(_TYPES.get(parameter.kind, {"type": parameter.kind}))
    if parameter.range:
        schema["minimum"], schema["maximum"] = parameter.range
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    if parameter.unit:
        schema["x-unit"] = parameter.unit
    return schema | {"description": parameter.description}
