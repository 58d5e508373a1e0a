"""The table of classes, for the README."""

from __future__ import annotations

from typing import Any

from msgspec import NODEFAULT

from device_bridge import Quantity
from device_bridge.cli import commands_table
from device_bridge.settings import settings_table

from .rows import DeviceSettings, OutputSettings, Row
from .table import MODELS, ROWS

_REQUIRED = {"pins": ("GPIO1", "GPIO2"), "socket": 1, "start_time": "07:00", "end_time": "08:00"}
_COMMON = {f"`{name}`" for name in (*OutputSettings.__struct_fields__, "device")} - {"`interval`"}


def classes_page() -> str:
    """A heading and a table of settings for each class; classes that differ in name alone share them."""
    parts: list[str] = []
    seen: dict[str, int] = {}
    for name, row in ROWS.items():
        body = _body(row)
        if body in seen:
            parts[seen[body]] = parts[seen[body]].replace("\n", f", {name}\n", 1)
        else:
            seen[body] = len(parts)
            parts.append(f"### {name}\n\n{body}")
    return "\n\n".join(parts)


def _body(row: Row) -> str:
    rows = settings_table(MODELS[row.name]).splitlines()
    table = [line for line in rows if line.split("|")[1].strip() not in _COMMON]
    settings = _example(row)
    quantities = [one.quantity(settings) for one in row.measures_of(settings)]
    readings = ", ".join(f"`{one.name}` {_unit(one)}({one.description})" for one in quantities)
    text = f"{row.about[0].upper()}{row.about[1:]}.\n\n" + "\n".join(table)
    text += f"\n\nReadings: {readings}."
    if row.safe:
        text += f" Safe state: `{row.safe}`."
    if row.methods:
        text += f"\n\n{commands_table([one.command(settings) for one in row.methods_of(settings)])}"
    return text


def _example(row: Row) -> DeviceSettings:
    """Settings with which everything is offered."""
    given: dict[str, Any] = {"name": "…"}
    for option in row.options:
        if option.default is NODEFAULT:
            given[option.name] = _REQUIRED.get(option.name, "GPIO1")
        elif option.name == "pwm":
            given[option.name] = True
    return MODELS[row.name](**given)


def _unit(quantity: Quantity) -> str:
    if not quantity.unit:
        return ""
    low, high = quantity.valid or (0, 0)
    return f"`{quantity.unit}` {low:g} to {high:g} " if quantity.valid else f"`{quantity.unit}` "
