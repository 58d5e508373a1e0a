"""1-Wire thermometers: Documentation/w1/slaves/w1_therm.rst of the Linux kernel; Maxim DS18B20, 19-7487 rev. 6.

`w1_slave` is read rather than `temperature`: it has the scratchpad, which tells a measured 85 °C from the value that
a sensor has after power-on, and a checksum over all of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache

from device_bridge.protocols import Checksum, ChecksumSettings

from .model import DeviceClass, Fault, Measure, Recipe, without_labels

FAMILIES = {"10": "ds18s20", "22": "ds1822", "28": "ds18b20", "3b": "ds1825", "42": "ds28ea00"}
"""Parts by the family code that an id begins with; a MAX31850 is a 3b, too."""
MEASURES = {"temperature": Measure("Cel", 1e-3, (-55, 125), "temperature")}
BULK = "therm_bulk_read"
"""Of the wire's master: all sensors convert at once when `trigger` is written there."""
TRIGGER, CONVERTING, UNREAD = "trigger\n", "-1", "1"
"""What is written there, and what it then reads while a sensor still converts, and until all of them were read."""
VALUE, RESOLUTION = "w1_slave", "resolution"
_LINES = re.compile(r"((?:[0-9a-f]{2} ){9}): crc=[0-9a-f]{2} (YES|NO)\n(?:[0-9a-f]{2} ){9}t=(-?\d{1,7})\n", re.ASCII)
_POWER_ON, _NOT_COUNTED, _UNDERSUPPLIED = 85_000, 0x0C, 127_937
"""Byte 6 of the scratchpad counts within a degree and is 0x0C only before the first conversion."""


@cache
def checksum() -> Checksum:
    """Of a scratchpad: CRC-8 (section on CRC generation)."""
    return Checksum(ChecksumSettings(algorithm="CRC-8/MAXIM-DOW"))


def temperature(text: str) -> float:
    """Thousandths of a degree out of `w1_slave`. Raises Fault."""
    if not text:
        raise Fault("no answer from the sensor, or one with a wrong checksum")
    match = _LINES.fullmatch(text)
    if match is None:
        raise Fault(f"not what w1_therm writes: {text[:40]!r}")
    scratchpad, value = bytes.fromhex(match[1]), int(match[3])
    if match[2] != "YES" or checksum().strip(scratchpad) is None:
        raise Fault("wrong checksum (CRC): a long wire, noise, or a weak pull-up")
    if not any(scratchpad):
        raise Fault("the wire is held low: all bits are 0")
    if scratchpad[6] == _NOT_COUNTED and value in (_POWER_ON, _UNDERSUPPLIED):
        raise Fault("it has not converted since power-on (85 °C): its supply was interrupted or is too weak")
    return value


def recipe(channel: str, files: Collection[str], _: Mapping[str, str]) -> Recipe:
    """Its one channel."""
    if VALUE not in files:
        raise Fault("no w1_slave: the driver w1_therm is not loaded, or does not know this part")
    return Recipe(VALUE, MEASURES[channel].factor, parse=temperature)


def channels(files: Collection[str]) -> list[str]:
    """Its one channel."""
    return list(MEASURES) if VALUE in files else []


W1 = DeviceClass(
    "w1",
    "bus/w1/devices",
    re.compile(rf"({'|'.join(FAMILIES)})-[0-9a-f]{{12}}"),
    "",
    MEASURES.get,
    recipe,
    channels,
    without_labels,
    "temperature",
)
