"""The table of classes, for the README."""

from __future__ import annotations

from device_bridge.settings import settings_table

from .rows import OutputSettings, Row
from .table import MODELS, ROWS

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
    reads = row.measures if isinstance(row.measures, tuple) else None
    told = [
        f"`{'…/' + one.suffix if one.suffix else '…'}` {_unit(one.unit)}({one.description})" for one in reads or ()
    ]
    readings = ", ".join(told) or "one for each line, `…/0` and on, `/` (brightness)"
    text = f"{row.about[0].upper()}{row.about[1:]}.\n\n" + "\n".join(table)
    text += f"\n\nReadings: {readings}."
    if row.methods:
        names = [f"`{'…/' + one.name if one.name else '…'}`" for one in row.methods]
        text += f" Commands: {', '.join(names)}."
    if row.safe:
        text += f" Safe state: `{row.safe}`."
    return text


def _unit(unit: str) -> str:
    return f"`{unit}` " if unit else ""
