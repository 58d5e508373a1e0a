"""Power supplies and batteries: Documentation/ABI/testing/sysfs-class-power of the Linux kernel."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from device_bridge import Value

from .model import DeviceClass, Fault, Measure, Recipe, flag, number, without_labels, word


class _Property(NamedTuple):
    measure: Measure
    parse: Callable[[str], Value] = number


def _numbers(unit: str, factor: float, valid: tuple[float, float], **described: str) -> dict[str, _Property]:
    return {name: _Property(Measure(unit, factor, valid, text)) for name, text in described.items()}


PROPERTIES: dict[str, _Property] = {
    **_numbers("%EL", 1, (0, 100), capacity="charge that is left"),
    **_numbers("V", 1e-6, (-1e6, 1e6), voltage_now="voltage", voltage_avg="voltage, averaged"),
    **_numbers("A", 1e-6, (-1e6, 1e6), current_now="current", current_avg="current, averaged"),
    **_numbers("W", 1e-6, (-1e9, 1e9), power_now="power", power_avg="power, averaged"),
    **_numbers("Wh", 1e-6, (0, 1e9), energy_now="energy that is left", energy_full="energy when full"),
    **_numbers("Ah", 1e-6, (-1e9, 1e9), charge_now="charge that is left", charge_full="charge when full"),
    **_numbers("Cel", 0.1, (-273.15, 2000), temp="temperature", temp_ambient="temperature around it"),
    **_numbers("s", 1, (0, 1e9), time_to_empty_now="time until empty", time_to_full_now="time until full"),
    **_numbers("count", 1, (0, 1e9), cycle_count="times it was charged"),
    "online": _Property(Measure("", 1, None, "whether it supplies"), flag),
    "status": _Property(Measure("", 1, None, "Charging, Discharging, Full or Not charging"), word),
    "health": _Property(Measure("", 1, None, "Good, Overheat, Dead and others"), word),
    "capacity_level": _Property(Measure("", 1, None, "Critical, Low, Normal, High or Full"), word),
}
"""By file. The kernel counts in uV, uA, uW, uWh, uAh and tenths of a degree."""


def measure(channel: str) -> Measure | None:
    """Of a property."""
    return PROPERTIES[channel].measure if channel in PROPERTIES else None


def recipe(channel: str, files: Collection[str], _: Mapping[str, str]) -> Recipe:
    """A battery that says that it is not present has no values."""
    if channel not in files:
        raise Fault(f"no {channel}; it has {', '.join(channels(files)) or 'no property'}")
    known = PROPERTIES[channel]
    needed = ("present",) if "present" in files else ()
    return Recipe(channel, known.measure.factor, present=needed, parse=known.parse)


def channels(files: Collection[str]) -> list[str]:
    """Its properties."""
    return [name for name in PROPERTIES if name in files]


POWER_SUPPLY = DeviceClass(
    "power_supply",
    "class/power_supply",
    re.compile(r"[^/]{1,100}"),
    "",
    measure,
    recipe,
    channels,
    without_labels,
    "capacity, voltage_now",
)
