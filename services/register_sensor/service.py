"""Bridges I2C chips that profiles describe: any number of them on one bus, each with its own health."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Annotated, ClassVar

from msgspec import Meta

from device_bridge import DeviceService, Interval, Quantity, Sample, ServiceSettings, run
from device_bridge.buses import I2cBus, I2cSettings
from device_bridge.control import Member, Put, merged

from .chip import PACKAGE, ChipSettings
from .driver import ChipDriver
from .sensors import Sensor, SensorSettings, check_sensors, sensors_of

_LONGEST_SPREAD_S = 1.0


class RegisterSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those every service has."""

    profiles: ClassVar[str] = PACKAGE
    profile_type: ClassVar[type[ChipSettings]] = ChipSettings
    renamed: ClassVar[Mapping[str, str]] = {**ServiceSettings.renamed, "longest_absence": "max_retry_interval"}

    bus: I2cSettings = I2cSettings()
    sensors: Annotated[
        tuple[SensorSettings, ...],
        Meta(
            min_length=1,
            description="each with `profile`, and where needed `name` (put before its readings), `address`, `mux`"
            " (`address` and `channel`), `interval`, `parameters` (as a shunt), `fields` (changes of values)",
        ),
    ]
    chips: Annotated[dict[str, ChipSettings], Meta(description="more profiles, by name")] = {}
    interval: Interval = 5.0
    retries: Annotated[int, Meta(ge=0, le=10, description="more attempts before a sensor has failed")] = 1
    max_retry_interval: Annotated[
        float, Meta(ge=1, le=3600, description="most seconds between attempts at a sensor that has failed")
    ] = 60.0


class RegisterSensor(DeviceService[RegisterSettings]):
    """Chips on an I2C bus that are read by registers or commands."""

    def __init__(self, settings: RegisterSettings) -> None:
        super().__init__(settings)
        self.bus = self.own(I2cBus(settings.bus))
        self._sensors = sensors_of(settings.sensors, settings.chips)
        self.members = [self._member(sensor) for sensor in self._sensors]

    @classmethod
    def check_settings(cls, settings: RegisterSettings) -> None:
        check_sensors(sensors_of(settings.sensors, settings.chips))

    @classmethod
    def quantities_of(cls, settings: RegisterSettings) -> tuple[Quantity, ...]:
        return tuple(q for sensor in sensors_of(settings.sensors, settings.chips) for q in sensor.chip.quantities)

    def stream(self) -> AsyncIterator[Sample]:
        return merged(partial(self._poll, n) for n in range(len(self._sensors)))

    async def _poll(self, n: int, put: Put) -> None:
        """Reads one sensor until cancelled; those of one interval take turns, from the second time on."""
        sensor, member = self._sensors[n], self.members[n]
        interval_s = sensor.interval_s or self.settings.interval
        spread_s = min(interval_s * n / len(self._sensors), _LONGEST_SPREAD_S)
        driver = self._driver(sensor, member)
        await member.poll(driver.measure, put, interval_s, attempts=1 + self.settings.retries, delay_s=spread_s)

    def _member(self, sensor: Sensor) -> Member:
        retry_s, max_retry_s = sensor.interval_s or self.settings.interval, self.settings.max_retry_interval
        return Member(sensor.label, sensor.chip.quantities, retry_s=retry_s, max_retry_s=max_retry_s)

    def _driver(self, sensor: Sensor, member: Member) -> ChipDriver:
        bus = self.bus.channel(sensor.mux.address, sensor.mux.channel) if sensor.mux else self.bus
        return ChipDriver(bus.device(sensor.address), sensor.chip, member.counters, sensor.label)


def main() -> None:
    """Runs the service as this process."""
    run(RegisterSensor)
