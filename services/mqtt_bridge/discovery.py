"""Discovery messages for Home Assistant, so that it shows readings by itself. No I/O.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery: a retained object under
`PREFIX/sensor/NODE/OBJECT/config`, made from what SenML says of a quantity: its name, its unit, its kind of value.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from device_bridge import Reading
from iofog_sdk.mqtt import Publication

from .settings import DiscoverySettings

_MOST = 2000
"""Quantities announced; more than that is a mistake."""
_STATE = "{{ 'None' if value_json.value is none else value_json.value | string | lower }}"
"""Of a bad value `None`, which is unknown there; any other word would leave the state before as it is."""
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


class Shown(NamedTuple):
    """How Home Assistant shows a unit: its own word for it, device class, state class."""

    unit: str
    device_class: str = ""
    state_class: str = "measurement"


_SHOWN = {
    "Cel": Shown("°C", "temperature"),
    "K": Shown("K", "temperature"),
    "%RH": Shown("%", "humidity"),
    "Pa": Shown("Pa", "pressure"),
    "hPa": Shown("hPa", "pressure"),
    "V": Shown("V", "voltage"),
    "mV": Shown("mV", "voltage"),
    "A": Shown("A", "current"),
    "mA": Shown("mA", "current"),
    "W": Shown("W", "power"),
    "kW": Shown("kW", "power"),
    "VA": Shown("VA", "apparent_power"),
    "kVA": Shown("kVA"),
    "var": Shown("var", "reactive_power"),
    "kvar": Shown("kvar"),
    "Wh": Shown("Wh", "energy", "total_increasing"),
    "kWh": Shown("kWh", "energy", "total_increasing"),
    "Hz": Shown("Hz", "frequency"),
    "lx": Shown("lx", "illuminance"),
    "m": Shown("m", "distance"),
    "cm": Shown("cm", "distance"),
    "mm": Shown("mm", "distance"),
    "km": Shown("km", "distance"),
    "m/s": Shown("m/s", "speed"),
    "km/h": Shown("km/h", "speed"),
    "kg": Shown("kg", "weight"),
    "g": Shown("g", "weight"),
    "s": Shown("s", "duration"),
    "ms": Shown("ms", "duration"),
    "min": Shown("min", "duration"),
    "h": Shown("h", "duration"),
    "dBm": Shown("dBm", "signal_strength"),
    "%EL": Shown("%", "battery"),
    "ppm": Shown("ppm"),
    "ug/m3": Shown("µg/m³"),
    "deg": Shown("°"),
    "lat": Shown("°"),
    "lon": Shown("°"),
    "/min": Shown("1/min"),
    "/": Shown(""),
    "%": Shown("%"),
    "l": Shown("L"),
    "l/s": Shown("L/s"),
    "m3": Shown("m³"),
    "count": Shown(""),
    "": Shown(""),
}
"""SenML units (RFC 8428 section 12.1, RFC 8798) of Home Assistant's list; others go as they are, without a class.

A device class is named only where Home Assistant takes this unit for it; it refuses the whole entity otherwise.
"""
_BY_NAME = {
    ("co2", "ppm"): Shown("ppm", "carbon_dioxide"),
    ("pm1", "ug/m3"): Shown("µg/m³", "pm1"),
    ("pm2_5", "ug/m3"): Shown("µg/m³", "pm25"),
    ("pm10", "ug/m3"): Shown("µg/m³", "pm10"),
    ("water", "m3"): Shown("m³", "water", "total_increasing"),
    ("gas", "m3"): Shown("m³", "gas", "total_increasing"),
}
"""Where the unit alone does not say what it is of: quantity and unit together."""


class Discovery:
    """Announces each quantity once, until it is to be announced again.

    Parameters:
        settings: with a prefix.
        status: topic by which it is seen whether the bridge is there, "" for none.
    """

    def __init__(self, settings: DiscoverySettings, status: str) -> None:
        self._settings, self._status = settings, status
        self._told: set[tuple[str, str]] = set()
        self.untold = 0
        """Readings of quantities beyond those that are announced."""

    @property
    def birth_topic(self) -> str:
        """Where Home Assistant says `online` when it has started and wants them again."""
        return f"{self._settings.prefix}/status"

    def forget(self) -> None:
        """Tells everything again, with the next readings."""
        self._told.clear()

    def configurations(
        self, source: str, quantity: str, reading: Reading, topic: str, *, is_json: bool
    ) -> Iterator[Publication]:
        """What is to be published before this reading."""
        if (topic, quantity) in self._told:
            return
        if len(self._told) >= _MOST:
            self.untold += 1
            return
        if reading.value is None:
            return  # nobody knows yet what kind of value it has
        self._told.add((topic, quantity))
        node, thing = _name(source), _name(quantity)
        mark = ":" if "_" in thing else "_"  # so that no two pairs become one
        config: dict[str, object] = {
            "name": quantity,
            "unique_id": f"iofog_{node}{mark}{thing}",
            "state_topic": topic,
            "device": {"identifiers": [f"iofog_{node}"], "name": source or "ioFog", "manufacturer": "Eclipse ioFog"},
        }
        if self._status:
            config |= {"availability_topic": self._status}
        if is_json:
            config |= {"value_template": "{{ value_json.value }}", "json_attributes_topic": topic}
        if self._settings.expire_after:
            config |= {"expire_after": self._settings.expire_after}
        component = "sensor"
        if isinstance(reading.value, bool):
            component = "binary_sensor"
            if is_json:
                config |= {"value_template": _STATE}
            config |= {"payload_on": "true", "payload_off": "false"}
        elif not isinstance(reading.value, str):
            config |= _described(quantity, reading.unit)
        place = f"{self._settings.prefix}/{component}/{node}/{thing}/config"
        yield Publication(place, msgspec.json.encode(config), 1, retain=True, content_type="application/json")


def _described(quantity: str, unit: str) -> dict[str, str]:
    shown = _BY_NAME.get((quantity.rpartition("/")[2], unit)) or _SHOWN.get(unit, Shown(unit))
    texts = {"unit_of_measurement": shown.unit, "device_class": shown.device_class, "state_class": shown.state_class}
    return {key: text for key, text in texts.items() if text}


def _name(text: str) -> str:
    """A text as Home Assistant takes it for an id; no two texts have the same one."""
    name = _UNSAFE.sub("_", text).strip("_") or "iofog"
    return name if name == text else f"{name}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
