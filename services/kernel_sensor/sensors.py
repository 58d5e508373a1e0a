"""Sensors as settings name them: by profile, or by class, driver and channels. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from device_bridge import Interval, Name, OptionalName, Quantity, Settings, SettingsError, require_unique
from device_bridge.settings import read_profile

from .finder import COUNTED, Wanted
from .protocol import CLASSES, DeviceClass

PACKAGE = "kernel_sensor"
Kind = Literal["hwmon", "iio", "w1", "thermal", "power_supply"]
_Text = Annotated[str, Meta(max_length=200)]


class ChannelSettings(Settings, frozen=True, kw_only=True):
    """One value of a sensor."""

    name: Annotated[Name, Meta(description="as in readings")]
    channel: Annotated[
        str, Meta(min_length=1, max_length=120, description="as the kernel names it: `temp1`, `in0`, `temp:Core 0`")
    ]
    valid: Annotated[tuple[float, float] | None, Meta(description="range; by default what the kind can be")] = None


class ProfileChannel(ChannelSettings, frozen=True, kw_only=True):
    """One value of a part that the service knows, with its unit for the table in the README."""

    unit: str = ""


class SensorSettings(Settings, frozen=True, kw_only=True):
    """One device."""

    profile: str = ""
    name: OptionalName = ""
    kind: Kind | None = None
    driver: _Text = ""
    label: _Text = ""
    device: _Text = ""
    id: Annotated[str, Meta(pattern="^([0-9a-fA-F]{2}-[0-9a-fA-F]{12})?$", examples=["28-00000a1b2c3d"])] = ""
    channels: tuple[ChannelSettings, ...] = ()
    interval: Interval | None = None
    resolution: Annotated[int, Meta(ge=9, le=12)] | None = None
    sampling_frequency: Annotated[float, Meta(gt=0, le=1e6)] | None = None


class Profile(Settings, frozen=True, kw_only=True):
    """A part that the service knows; `interval` is how often it has something new."""

    kind: Kind
    drivers: tuple[str, ...] = ()
    interval: float | None = None
    channels: tuple[ProfileChannel, ...]


def profile_of(name: str) -> Profile:
    """A profile by its name. Raises SettingsError for an unknown one."""
    return msgspec.convert(read_profile(PACKAGE, name), Profile)


class Value(NamedTuple):
    """A channel and what is reported of it."""

    channel: str
    quantity: Quantity
    alarm: Quantity | None


class Sensor(NamedTuple):
    """A device that is wanted, and what is read from it.

    Parameters:
        label: in logs and metrics.
        interval_s: None for that of the service.
        least_s: sooner the device has nothing new.
        resolution: bits, None for as it is.
        frequency_hz: None for as it is.
    """

    label: str
    kind: DeviceClass
    wanted: Wanted
    values: tuple[Value, ...]
    interval_s: float | None
    least_s: float
    resolution: int | None
    frequency_hz: float | None

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """All that it reports."""
        known = [one for value in self.values for one in (value.quantity, value.alarm)]
        return tuple(one for one in known if one is not None)


def sensor_of(settings: SensorSettings, place: str) -> Sensor:
    """A sensor. Raises SettingsError for what cannot be.

    Parameters:
        place: of its settings, for errors.
    """
    kind_name, channels, least_s = settings.kind, settings.channels, 0.0
    drivers: tuple[str, ...] = (settings.driver,)
    if settings.profile:
        profile = profile_of(settings.profile)
        if settings.kind not in (None, profile.kind):
            raise SettingsError(
                f"{place}.kind", settings.kind, f"is not that of the profile, {profile.kind}", "Leave it out."
            )
        kind_name, channels = profile.kind, settings.channels or profile.channels
        drivers, least_s = (settings.driver,) if settings.driver else profile.drivers, profile.interval or 0.0
    if kind_name is None:
        raise SettingsError(f"{place}.kind", None, "is missing", f"Write a profile, or one of {', '.join(CLASSES)}.")
    kind = CLASSES[kind_name]
    for part in settings.device.split("/"):
        if COUNTED.fullmatch(part):
            remedy = "Write a part of the path before it, as 1-0048; `discover = true` shows it."
            raise SettingsError(f"{place}.device", settings.device, f"{part} is another one at the next boot", remedy)
    wanted = Wanted(kind_name, tuple(filter(None, drivers)), settings.label, settings.device, settings.id.lower())
    if not any(wanted[1:]):
        remedy = (
            "Write `driver`, `label` or `device`; for a 1-Wire sensor `id`. `discover = true` shows what there is."
        )
        raise SettingsError(place, None, "does not say which device", remedy)
    if not channels and kind_name not in {"thermal", "w1"}:
        remedy = f"List channels, each with `name` and `channel`, as {kind.example}."
        raise SettingsError(f"{place}.channels", None, "is empty", remedy)
    channels = channels or (ChannelSettings(name="temperature", channel=kind.example),)
    values = tuple(_value(one, kind, settings.name, f"{place}.channels.{n}") for n, one in enumerate(channels))
    _check_extras(settings, kind_name, place)
    interval_s = settings.interval
    if interval_s is not None and interval_s < least_s:
        raise SettingsError(
            f"{place}.interval", interval_s, "is shorter than the device measures", f"Write {least_s:g} or more."
        )
    label = settings.name or settings.id or settings.profile or settings.driver or settings.label or settings.device
    return Sensor(label, kind, wanted, values, interval_s, least_s, settings.resolution, settings.sampling_frequency)


def _check_extras(settings: SensorSettings, kind: str, place: str) -> None:
    for name, value, of in (
        ("id", settings.id or None, "w1"),
        ("resolution", settings.resolution, "w1"),
        ("sampling_frequency", settings.sampling_frequency, "iio"),
    ):
        if value is not None and kind != of:
            raise SettingsError(f"{place}.{name}", value, f"is for {of} alone", "Leave it out.")
    if kind == "w1" and settings.interval is not None:
        remedy = "Write `interval` of the service: the sensors of a wire convert together."
        raise SettingsError(f"{place}.interval", settings.interval, "cannot be one sensor's", remedy)


def _value(channel: ChannelSettings, kind: DeviceClass, prefix: str, place: str) -> Value:
    measured = kind.measure(channel.channel)
    if measured is None:
        raise SettingsError(
            f"{place}.channel", channel.channel, f"is no channel of {kind.name}", f"Write it as {kind.example}."
        )
    valid = channel.valid or measured.valid
    if valid is not None and valid[0] >= valid[1]:
        raise SettingsError(f"{place}.valid", list(valid), "is no range", "Write the least value, then the greatest.")
    name = f"{prefix}/{channel.name}" if prefix else channel.name
    description = f"{measured.description}, {channel.channel}"
    quantity = Quantity(name, measured.unit, valid, description)
    alarm = None
    if kind.name == "hwmon":
        alarm = Quantity(f"{name}/alarm", description="whether the chip says that a limit is passed", optional=True)
    return Value(channel.channel, quantity, alarm)


def sensors_of(settings: Sequence[SensorSettings]) -> list[Sensor]:
    """All of them. Raises SettingsError."""
    return [sensor_of(one, f"sensors.{n}") for n, one in enumerate(settings)]


def check_sensors(sensors: Sequence[Sensor]) -> None:
    """Raises SettingsError when two have the same names."""
    names = [quantity.name for sensor in sensors for quantity in sensor.quantities]
    require_unique("sensors.name", names, "Give every sensor a name of its own.")
