"""Bridges I2C chips that profiles describe: any number of them on one bus, each with its own health."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from device_bridge import (
    DeviceError,
    DeviceErrorKind,
    DeviceService,
    Quantity,
    Sample,
    ServiceSettings,
    Settings,
    SettingsError,
    run,
)
from device_bridge.buses import I2cAddress, I2cBus, I2cSettings, number_of
from device_bridge.control import Put, merged
from device_bridge.settings import read_profile
from iofog_sdk import Backoff

from .chip import ChipSettings, checked, named
from .driver import ChipDriver

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]*$", max_length=50)]
Interval = Annotated[float, Meta(ge=0.01, le=86_400, description="seconds from reading to reading")]


class MultiplexerSettings(Settings, frozen=True, kw_only=True):
    """A TCA9548A or PCA9548A before a sensor."""

    address: I2cAddress = 0x70
    channel: Annotated[int, Meta(ge=0, le=7)]


class SensorSettings(Settings, frozen=True, kw_only=True):
    """One chip on the bus."""

    profile: str
    address: I2cAddress | None = None
    name: Name = ""
    mux: MultiplexerSettings | None = None
    interval: Interval | None = None


class RegisterSettings(ServiceSettings, frozen=True, kw_only=True):
    """What this service can be told beside the settings every service has."""

    profiles: ClassVar[str] = "register_sensor"

    bus: I2cSettings = I2cSettings()
    sensors: Annotated[
        tuple[SensorSettings, ...],
        Meta(
            min_length=1,
            description="each with `profile`, and where needed `name` (put before its readings), `address`, `mux`"
            " (`address` and `channel`), `interval`",
        ),
    ]
    chips: Annotated[dict[str, ChipSettings], Meta(description="more profiles, by name")] = {}
    interval: Interval = 5.0
    retries: Annotated[int, Meta(ge=0, le=10, description="more attempts before a sensor has failed")] = 1
    longest_absence: Annotated[
        float, Meta(ge=1, le=3600, description="seconds between attempts at a sensor that has long failed")
    ] = 60.0


class Sensor:
    """One chip, and how it stands with it.

    Parameters:
        settings: its place.
        chip: what it is.
        bus: where it is.
        service: how to read it.
    """

    def __init__(self, settings: SensorSettings, chip: ChipSettings, bus: I2cBus, service: RegisterSettings) -> None:
        address = settings.address or chip.address
        if settings.mux is not None:
            bus = bus.channel(settings.mux.address, settings.mux.channel)
        self.label = settings.name or settings.profile
        self.interval = settings.interval or service.interval
        self.driver = ChipDriver(bus.device(address), chip)
        self.backoff = Backoff(self.interval, max(service.longest_absence, self.interval))
        self.failing = False
        self.failures = 0


class RegisterSensor(DeviceService[RegisterSettings]):
    """Chips on an I2C bus that are read by registers or commands."""

    def __init__(self, settings: RegisterSettings) -> None:
        super().__init__(settings)
        self.bus = I2cBus(settings.bus)
        self.sensors = [Sensor(sensor, chip, self.bus, settings) for sensor, chip in _chips(settings)]

    @classmethod
    def quantities_of(cls, settings: RegisterSettings) -> tuple[Quantity, ...]:
        return tuple(field.quantity for _, chip in _chips(settings) for field in chip.fields)

    async def open(self) -> None:
        await self.bus.open()

    async def close(self) -> None:
        await self.bus.close()

    def stream(self) -> AsyncIterator[Sample]:
        return merged(
            partial(self._poll, sensor, sensor.interval * position / len(self.sensors))
            for position, sensor in enumerate(self.sensors)
        )

    async def _poll(self, sensor: Sensor, delay_s: float, put: Put) -> None:
        """Reads one sensor for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        spread_s = min(delay_s, 1.0)  # sensors of one interval take turns, from the second round on
        while True:
            sample = await self._measure(sensor)
            if sample:
                await put(sample)
            if sensor.failing:
                await asyncio.sleep(sensor.backoff.next_s())
                continue
            due = max(due + sensor.interval + spread_s, loop.time())
            spread_s = 0.0
            await asyncio.sleep(due - loop.time())

    async def _measure(self, sensor: Sensor) -> Sample:
        """A sensor's readings; all bad when it has just failed, none when it still does."""
        attempts = 1 if sensor.failing else 1 + self.settings.retries
        resets = sensor.driver.resets
        for left in range(attempts - 1, -1, -1):
            try:
                readings = await sensor.driver.measure()
            except DeviceError as error:
                if error.kind is DeviceErrorKind.GONE:
                    raise
                if not left or error.kind is DeviceErrorKind.NOT_FOUND:
                    return self._failed(sensor, error)
            else:
                break
        if sensor.driver.resets > resets:
            self.log.warning("%s was reset (its supply?) and has been set up again", sensor.label)
        if sensor.failing:
            self.log.info("%s answers again", sensor.label)
            sensor.failing = False
            sensor.backoff.reset()
        return readings

    def _failed(self, sensor: Sensor, error: DeviceError) -> Sample:
        sensor.failures += 1
        if sensor.failing:
            return ()
        sensor.failing = True
        self.log.warning("%s: %s; the others are read on", sensor.label, error)
        reason = f"{error.kind.value}: {error.detail}"
        return [field.bad(reason) for field in sensor.driver.chip.fields]

    def counters(self) -> dict[str, int]:
        counts = self.bus.counters()
        for sensor in self.sensors:
            label = re.sub(r"\W", "_", sensor.label)
            driver = sensor.driver
            counts |= {f"{label}_failures": sensor.failures, f"{label}_checksum_errors": driver.checksum_errors}
            counts |= {f"{label}_resets": driver.resets}
        return counts


def _chips(settings: RegisterSettings) -> list[tuple[SensorSettings, ChipSettings]]:
    """Each sensor with its chip, whose values are called as in readings. Raises SettingsError."""
    found = []
    for sensor in settings.sensors:
        chip = settings.chips.get(sensor.profile) or chip_of(sensor.profile)
        found.append((sensor, named(checked(chip, f"chips.{sensor.profile}"), sensor.name)))
    places = [(number_of(sensor.address or chip.address), sensor.mux) for sensor, chip in found]
    names = [field.name for _, chip in found for field in chip.fields]
    for field, values in (("sensors.address", places), ("sensors.name", names)):
        twice = next((value for at, value in enumerate(values) if value in values[:at]), None)
        if twice is not None:
            shown = twice if isinstance(twice, str) else f"0x{twice[0]:02x}"
            raise SettingsError(field, shown, "stands twice", "Give every sensor an address and a name of its own.")
    return found


def chip_of(profile: str) -> ChipSettings:
    """The chip that a profile of this service describes. Raises SettingsError."""
    members = read_profile(RegisterSettings.profiles, profile)
    if not members:
        raise SettingsError("sensors.profile", profile, "is empty", "Name a profile, or a chip of `chips`.")
    try:
        return msgspec.convert(members, ChipSettings)
    except msgspec.ValidationError as error:
        raise SettingsError("sensors.profile", profile, f"is wrong: {error}", "Correct the profile's file.") from None


def main() -> None:
    """Runs the service as this process."""
    run(RegisterSensor)
