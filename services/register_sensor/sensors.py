"""The chips on a bus, as settings name them: each with its profile, its place and what is its own. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

from msgspec import Meta

from device_bridge import Interval, OptionalName, Settings, require_unique
from device_bridge.buses import I2cAddress, number_of

from .chip import ChipSettings, checked, chip_of, named, resolved
from .parameters import FieldChange


class MultiplexerSettings(Settings, frozen=True, kw_only=True):
    """A TCA9548A or PCA9548A before a sensor."""

    address: I2cAddress = 0x70
    channel: Annotated[int, Meta(ge=0, le=7)]


class SensorSettings(Settings, frozen=True, kw_only=True):
    """One chip on the bus."""

    profile: str
    address: I2cAddress | None = None
    name: OptionalName = ""
    mux: MultiplexerSettings | None = None
    interval: Interval | None = None
    parameters: Annotated[dict[str, float], Meta(description="of the profile, as a shunt")] = {}
    fields: Annotated[dict[str, FieldChange], Meta(description="what is changed of a value, by its name")] = {}


class Sensor(NamedTuple):
    """A chip in its place; its values are called as in readings."""

    label: str
    chip: ChipSettings
    address: int
    mux: MultiplexerSettings | None
    interval_s: float | None


def sensors_of(settings: Sequence[SensorSettings], chips: Mapping[str, ChipSettings]) -> list[Sensor]:
    """The sensors of a bus. Raises SettingsError for what cannot be.

    Parameters:
        settings: of each.
        chips: profiles of the settings; they come before those of the service.
    """
    found = []
    for n, one in enumerate(settings):
        known = chips.get(one.profile)
        chip = chip_of(one.profile) if known is None else checked(known, f"chips.{one.profile}")
        chip = named(resolved(chip, one.parameters, one.fields, f"sensors.{n}"), one.name)
        address = number_of(one.address or chip.address)
        found.append(Sensor(one.name or one.profile, chip, address, one.mux, one.interval or chip.interval))
    return found


def check_sensors(sensors: Sequence[Sensor]) -> None:
    """Raises SettingsError when two have the same place or the same names."""
    remedy = "Give every sensor an address and a name of its own."
    require_unique("sensors.address", [(f"0x{sensor.address:02x}", sensor.mux) for sensor in sensors], remedy)
    names = [quantity.name for sensor in sensors for quantity in sensor.chip.quantities]
    require_unique("sensors.name", names, remedy)
