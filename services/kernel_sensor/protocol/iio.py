"""Industrial I/O devices: Documentation/ABI/testing/sysfs-bus-iio of the Linux kernel.

A channel is called as its files without `in_` before and `_raw` or `_input` after: `voltage0`, `temp_object`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from .model import DeviceClass, Fault, Measure, Recipe

MEASURES = {
    "voltage": Measure("V", 1e-3, (-1e6, 1e6), "voltage"),
    "altvoltage": Measure("V", 1e-3, (-1e6, 1e6), "alternating voltage"),
    "current": Measure("A", 1e-3, (-1e6, 1e6), "current"),
    "power": Measure("W", 1e-3, (-1e9, 1e9), "power"),
    "energy": Measure("J", 1, (0, 1e15), "energy"),
    "temp": Measure("Cel", 1e-3, (-273.15, 2000), "temperature"),
    "pressure": Measure("Pa", 1e3, (0, 1e9), "pressure"),
    "humidityrelative": Measure("%RH", 1e-3, (0, 100), "relative humidity"),
    "illuminance": Measure("lx", 1, (0, 1e6), "illuminance"),
    "distance": Measure("m", 1, (0, 1e5), "distance"),
    "accel": Measure("m/s2", 1, (-1e5, 1e5), "acceleration"),
    "gravity": Measure("m/s2", 1, (-1e3, 1e3), "acceleration by gravity"),
    "anglvel": Measure("deg/s", 57.29577951308232, (-1e6, 1e6), "angular velocity"),
    "magn": Measure("T", 1e-4, (-1e3, 1e3), "magnetic flux density"),
    "angl": Measure("rad", 1, (-1e6, 1e6), "angle"),
    "velocity": Measure("m/s", 1, (-1e5, 1e5), "velocity"),
    "resistance": Measure("Ohm", 1, (0, 1e12), "resistance"),
    "capacitance": Measure("F", 1e-9, (0, 1e3), "capacitance"),
    "electricalconductivity": Measure("S/m", 1, (0, 1e9), "conductivity"),
    "ph": Measure("pH", 1, (0, 14), "acidity"),
    "concentration": Measure("ppm", 1e4, (0, 1e6), "concentration"),
    "massconcentration": Measure("ug/m3", 1, (0, 1e6), "mass in air"),
    "intensity": Measure("", 1, None, "intensity of light, as the chip counts it"),
    "proximity": Measure("", 1, None, "nearness, as the chip counts it"),
    "uvindex": Measure("", 1, None, "index of ultraviolet light"),
    "count": Measure("count", 1, None, "count"),
    "index": Measure("count", 1, None, "index"),
    "positionrelative": Measure("%", 1e-3, (-100, 100), "position in its range"),
}
"""By type. The kernel counts in mV, mA, mW, J, m°C, kPa, m%RH, gauss, nF, percent of concentration and SI beside."""
_TYPES = "|".join(sorted(MEASURES, key=len, reverse=True))
_PART = rf"(?:{_TYPES})\d{{0,3}}(?:-(?:{_TYPES})\d{{0,3}})?(?:_[a-z0-9.]{{1,40}}){{0,3}}?"
_CHANNEL = re.compile(rf"(?=({_TYPES})(?![a-z])){_PART}")
_BY_LABEL = re.compile(rf"({_TYPES}):(.{{1,100}})")
_FILE = re.compile(rf"in_(?=(?:{_TYPES})(?![a-z]))({_PART})_(raw|input|label)")
_DERIVED = re.compile(r"_(mean|peak)$")
"""What a channel has beside its value now, in the same scale."""
_ENDS = ("raw", "input", "scale", "offset", "label")


def measure(channel: str) -> Measure | None:
    """Of `voltage0`, `voltage0-voltage1`, `temp_object`, or `voltage:LABEL`."""
    match = _CHANNEL.fullmatch(channel) or _BY_LABEL.fullmatch(channel)
    return MEASURES[match[1]] if match and not channel.endswith(tuple(f"_{end}" for end in _ENDS)) else None


def channels(files: Collection[str]) -> list[str]:
    """In alphabetical order."""
    return sorted({match[1] for file in files if (match := _FILE.fullmatch(file)) and match[2] != "label"})


def labels(files: Collection[str]) -> dict[str, str]:
    """`in_voltage0_label` is that of `voltage0`."""
    return {file: match[1] for file in files if (match := _FILE.fullmatch(file)) and match[2] == "label"}


def recipe(channel: str, files: Collection[str], named: Mapping[str, str]) -> Recipe:
    """`named` are channels by their labels, with their type before: `voltage:battery`.

    A processed value comes before a raw one, which its driver leaves to be multiplied. Scale and offset may be those
    of one channel, of a type with this modifier, of all channels of its type, or of all. A raw value without a scale
    has no unit that its driver knows; only what is counted is good without one.
    """
    if ":" in channel:
        if channel not in named:
            raise Fault(f"no {channel!r}; it has {', '.join(sorted(named)) or 'no labels'}")
        channel = named[channel]
    kind = measure(channel)
    value = next((name for name in (f"in_{channel}_input", f"in_{channel}_raw") if name in files), None)
    if kind is None or value is None:
        raise Fault(f"no {channel}; it has {', '.join(channels(files)) or 'no channel'}")
    if value.endswith("_input"):
        return Recipe(value, kind.factor)
    scale = _shared(channel, "scale", files)
    if kind.unit not in ("", "count") and not scale:
        raise Fault(f"{value} has no scale: its driver does not know what it is in {kind.unit}")
    return Recipe(value, kind.factor, scale=scale, offset=_shared(channel, "offset", files))


def frequency_file(channels: Collection[str], files: Collection[str]) -> str:
    """The file that sets how often these are sampled; "" for none."""
    return next(filter(None, (_shared(channel, "sampling_frequency", files) for channel in channels)), "")


def _shared(channel: str, what: str, files: Collection[str]) -> str:
    channel = _DERIVED.sub("", channel)
    without_number = re.sub(r"\d+(?=-|_|$)", "", channel)
    kind = re.split(r"[-_]", without_number)[0]
    for name in (channel, without_number, f"{kind}-{kind}" if "-" in channel else kind, kind):
        if (file := f"in_{name}_{what}") in files:
            return file
    return next((file for file in (f"in_{what}", what) if file in files), "")


IIO = DeviceClass(
    "iio",
    "bus/iio/devices",
    re.compile(r"iio:device\d+"),
    "name",
    measure,
    recipe,
    channels,
    labels,
    "voltage0, temp",
)
