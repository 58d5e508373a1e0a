"""Thermal zones: Documentation/driver-api/thermal/sysfs-api.rst of the Linux kernel."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from .model import DeviceClass, Fault, Measure, Recipe, number, without_labels

MEASURES = {"temp": Measure("Cel", 1e-3, (-273.15, 2000), "temperature")}
_INVALID = -274_000
"""What the kernel takes for no temperature (THERMAL_TEMP_INVALID)."""


def temperature(text: str) -> float:
    """Thousandths of a degree. Raises Fault."""
    if (value := number(text)) <= _INVALID:
        raise Fault("the zone has no temperature yet")
    return value


def recipe(channel: str, files: Collection[str], _: Mapping[str, str]) -> Recipe:
    """Its one channel."""
    if channel not in files:
        raise Fault(f"no {channel}")
    return Recipe(channel, MEASURES[channel].factor, parse=temperature)


def channels(files: Collection[str]) -> list[str]:
    """Its one channel."""
    return [name for name in MEASURES if name in files]


THERMAL = DeviceClass(
    "thermal",
    "class/thermal",
    re.compile(r"thermal_zone\d+"),
    "type",
    MEASURES.get,
    recipe,
    channels,
    without_labels,
    "temp",
)
