"""Emulated devices of the profiles that are not on a 1-Wire wire."""

from __future__ import annotations

import math

from .emulated_devices import Wire, scaled_device
from .emulated_tree import EmulatedDevice, File, SimulatedSysfs
from .protocol import CLASSES
from .sensors import Profile, profile_of

_TYPICAL = {
    "temperature": 21.5,
    "humidity": 45.0,
    "pressure": 101_325.0,
    "voltage": 3.3,
    "current": 0.25,
    "power": 0.8,
    "charge": 76.0,
    "illuminance": 240.0,
    "resistance": 12_000.0,
}
"""By what the name of a value begins with."""
_PROCESSED = ("dht11", "bme280", "bmp280", "bme680")
"""Drivers of IIO that calculate values themselves."""
_WORDS = {"status": "Discharging\n"}
WIRE_ID = "28-00000a1b2c3d"
_PLACES = {"hwmon": "devices/platform/soc/1-00{number:02x}", "iio": "devices/platform/{driver}@{number:x}"}


def add_profile(tree: SimulatedSysfs, name: str, profile: str) -> EmulatedDevice:
    """Puts the device that a profile describes into a tree, which then calls it `name`."""
    described = profile_of(profile)
    if described.kind == "w1":
        family = {"ds18b20": "28", "ds18s20": "10"}[described.drivers[0]]
        wire = Wire(tree, len(tree.folders) + 1)
        return wire.add(name, family + WIRE_ID[2:]).device
    return tree.add(name, _device(described, len(tree.devices) + 0x40))


def _device(profile: Profile, number: int) -> EmulatedDevice:
    driver = profile.drivers[0]
    values: dict[str, tuple[str, float, float]] = {}
    extra: dict[str, File] = {}
    for channel in profile.channels:
        measured = CLASSES[profile.kind].measure(channel.channel)
        assert measured is not None, channel  # noqa: S101 - profiles are tested
        if channel.channel in _WORDS:
            extra[channel.channel] = _WORDS[channel.channel]
            continue
        low, high = channel.valid or measured.valid or (0, 1)
        typical = next((value for key, value in _TYPICAL.items() if channel.name.startswith(key)), math.nan)
        if not low <= typical <= high:
            typical = low + 0.6 * (high - low)
        factor = 1 / measured.factor
        file = {"hwmon": f"{channel.channel}_input", "iio": f"in_{channel.channel}_input"}.get(
            profile.kind, channel.channel
        )
        if profile.kind == "iio" and driver not in _PROCESSED:
            scale = 10.0 ** (math.floor(math.log10(high * factor)) - 6)
            extra[f"in_{channel.channel}_scale"] = f"{scale:.9f}\n"
            file, factor = f"in_{channel.channel}_raw", factor / float(f"{scale:.9f}")
        values[channel.name] = file, factor, typical
    place = _PLACES.get(profile.kind, f"devices/virtual/{profile.kind}").format(number=number, driver=driver)
    name = f"dht11@{number:x}" if driver == "dht11" else driver
    decimals = 6 if driver in _PROCESSED[1:] else 0
    return scaled_device(profile.kind, place, name, values, extra, decimals=decimals)
