"""Rows of the benchmark: a value against a baseline of the same run, a goal, and whether it was met."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table


class Row(msgspec.Struct):
    """One result.

    Parameters:
        name: what was measured.
        value: the result, None when it could not be measured here.
        unit: of the value; `x` for a ratio to the baseline.
        baseline: what it is compared with, and what that measured.
        goal: the least that is wanted.
        met: whether the goal is reached; a row that could not run has not met it.
    """

    name: str
    value: float | None
    unit: str
    baseline: str
    goal: str
    met: bool


def at_least(name: str, value: float, unit: str, baseline: str, goal: float) -> Row:
    """A row whose value is to be large."""
    return Row(name, round(value, 4), unit, baseline, f">= {goal:g} {unit}", value >= goal)


def at_most(name: str, value: float, unit: str, baseline: str, goal: float) -> Row:
    """A row whose value is to be small."""
    return Row(name, round(value, 4), unit, baseline, f"<= {goal:g} {unit}", value <= goal)


def cannot_run(name: str, why: str, goal: str = "") -> Row:
    """A row that needs what this machine has not."""
    return Row(name, None, "", f"cannot run here: {why}", goal, met=False)


def show(rows: list[Row], file: Path) -> None:
    """Prints the table and writes it as JSON."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("msgspec", "h11", "pyserial"))
    console = Console(width=150)
    console.print(
        f"{time.strftime('%Y-%m-%d')}  Python {platform.python_version()}, {libraries}; {os.cpu_count()} cores, "
        f"{platform.machine()}, Linux {platform.release()}"
    )
    table = Table()
    for title in ("what", "value", "against, in the same run", "goal", ""):
        table.add_column(title, justify="right" if title == "value" else "left")
    for row in rows:
        value = "-" if row.value is None else f"{row.value:g} {row.unit}"
        verdict = "[green]met[/]" if row.met else "[red]missed[/]"
        table.add_row(row.name, value, row.baseline, row.goal, verdict)
    console.print(table)
    console.print(f"{sum(row.met for row in rows)} of {len(rows)} goals met")
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(rows)))
