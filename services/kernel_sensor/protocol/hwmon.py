"""Hardware monitoring chips: Documentation/hwmon/sysfs-interface.rst of the Linux kernel."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from .model import DeviceClass, Fault, Measure, Recipe

MEASURES = {
    "temp": Measure("Cel", 1e-3, (-273.15, 2000), "temperature"),
    "in": Measure("V", 1e-3, (-1e6, 1e6), "voltage"),
    "fan": Measure("1/min", 1, (0, 1e6), "speed of a fan"),
    "curr": Measure("A", 1e-3, (-1e6, 1e6), "current"),
    "power": Measure("W", 1e-6, (-1e9, 1e9), "power"),
    "energy": Measure("J", 1e-6, (0, 1e15), "energy"),
    "humidity": Measure("%RH", 1e-3, (0, 100), "relative humidity"),
}
"""By the beginning of a file's name; the kernel counts in m°C, mV, 1/min, mA, uW, uJ and m%RH."""
_LIMITS = ("", "_min", "_max", "_lcrit", "_crit", "_emergency", "_cap")
_CHANNEL = re.compile(rf"({'|'.join(MEASURES)})(\d{{1,3}})")
_BY_LABEL = re.compile(rf"({'|'.join(MEASURES)}):(.{{1,100}})")
_FILE = re.compile(rf"((?:{'|'.join(MEASURES)})\d{{1,3}})_(input|average|label)")


def measure(channel: str) -> Measure | None:
    """Of `temp1`, or of `temp:Package id 0`, which names its label."""
    match = _CHANNEL.fullmatch(channel) or _BY_LABEL.fullmatch(channel)
    return MEASURES[match[1]] if match else None


def channels(files: Collection[str]) -> list[str]:
    """In the order of their kinds and numbers."""
    found = {match[1] for file in files if (match := _FILE.fullmatch(file)) and match[2] != "label"}
    return sorted(found, key=lambda each: (each.rstrip("0123456789"), int(each.lstrip("abcdefghijklmnopqrstuvwxyz"))))


def labels(files: Collection[str]) -> dict[str, str]:
    """`temp1_label` is that of `temp1`."""
    return {file: match[1] for file in files if (match := _FILE.fullmatch(file)) and match[2] == "label"}


def recipe(channel: str, files: Collection[str], named: Mapping[str, str]) -> Recipe:
    """`named` are channels by their labels, with their kind before: `temp:Core 0`."""
    if ":" in channel:
        if channel not in named:
            raise Fault(f"no {channel!r}; it has {', '.join(sorted(named)) or 'no labels'}")
        channel = named[channel]
    value = next((name for name in (f"{channel}_input", f"{channel}_average") if name in files), None)
    kind = measure(channel)
    if value is None or kind is None:
        raise Fault(f"no {channel}; it has {', '.join(channels(files)) or 'no channel'}")
    alarms = tuple(name for limit in _LIMITS if (name := f"{channel}{limit}_alarm") in files)
    faults = tuple(name for name in (f"{channel}_fault",) if name in files)
    return Recipe(value, kind.factor, faults=faults, alarms=alarms)


HWMON = DeviceClass(
    "hwmon", "class/hwmon", re.compile(r"hwmon\d+"), "name", measure, recipe, channels, labels, "temp1, temp:Core 0"
)
