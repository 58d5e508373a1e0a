"""Bridges what drivers of the kernel measure: hwmon, IIO, 1-Wire thermometers, thermal zones, power supplies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, ClassVar

from msgspec import Meta

from device_bridge import DeviceService, Interval, Quantity, Sample, ServiceSettings, SettingsError, run
from device_bridge.control import Put, Source, merged

from .discovery import DISCOVERED, report
from .reader import SensorReader
from .sensors import PACKAGE, Profile, Sensor, SensorSettings, check_sensors, sensors_of
from .sysfs import Sysfs
from .wires import Wires


class KernelSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those every service has."""

    profiles: ClassVar[str] = PACKAGE
    profile_type: ClassVar[type[Profile]] = Profile

    path: Annotated[
        str,
        Meta(
            pattern=r"^((/[\w.+-]+)*/sys|sim:.+)$",
            max_length=200,
            description="the kernel's `/sys`, or where it is bound, as `/host/sys`; `sim:PATH` for an emulated one",
            examples=["/sys"],
        ),
    ] = "/sys"
    sensors: Annotated[
        tuple[SensorSettings, ...],
        Meta(
            description="each with `profile`, or `kind` and `channels`; with `driver`, `label`, `device` or `id` that"
            " say which; `name` (put before its readings), `interval`, `resolution`, `sampling_frequency`",
        ),
    ] = ()
    discover: Annotated[bool, Meta(description="report which devices the kernel has, in settings' own words")] = False
    interval: Interval = 10.0
    timeout: Annotated[float, Meta(ge=0.1, le=60, description="most seconds that a driver may take for a file")] = 5.0
    retries: Annotated[int, Meta(ge=0, le=10, description="more attempts before a sensor has failed")] = 1
    max_retry_interval: Annotated[
        float, Meta(ge=1, le=3600, description="most seconds between attempts at a sensor that has failed")
    ] = 60.0


class KernelSensor(DeviceService[KernelSettings]):
    """Sensors that the Linux kernel has a driver for."""

    def __init__(self, settings: KernelSettings) -> None:
        super().__init__(settings)
        self.sysfs = self.own(Sysfs(settings.path, settings.timeout))
        self.readers = [self._reader(n, sensor) for n, sensor in enumerate(sensors_of(settings.sensors))]
        self.members = [reader.member for reader in self.readers]
        on_wires = [reader for reader in self.readers if reader.sensor.kind.name == "w1"]
        self._alone = [reader for reader in self.readers if reader not in on_wires]
        self._wires = Wires(on_wires, self.sysfs, settings.interval, settings.retries) if on_wires else None

    @classmethod
    def check_settings(cls, settings: KernelSettings) -> None:
        if not settings.sensors and not settings.discover:
            remedy = "List sensors, or write discover = true to see which there are."
            raise SettingsError("sensors", None, "is empty", remedy)
        check_sensors(sensors_of(settings.sensors))

    @classmethod
    def quantities_of(cls, settings: KernelSettings) -> tuple[Quantity, ...]:
        measured = tuple(q for sensor in sensors_of(settings.sensors) for q in sensor.quantities)
        return (*measured, DISCOVERED) if settings.discover else measured

    def stream(self) -> AsyncIterator[Sample]:
        sources: list[Source] = [partial(self._poll, reader) for reader in self._alone]
        if self._wires is not None:
            sources.append(self._wires.run)
        if self.settings.discover:
            sources.append(partial(report, self.sysfs, self.settings.interval))
        return merged(sources)

    def counters(self) -> dict[str, int]:
        bulk = self._wires.bulk_conversions if self._wires is not None else 0
        return super().counters() | {"bulk_conversions": bulk}

    async def _poll(self, reader: SensorReader, put: Put) -> None:
        """Reads one sensor until cancelled."""
        await reader.poll(put, 1 + self.settings.retries)

    def _reader(self, n: int, sensor: Sensor) -> SensorReader:
        interval_s = sensor.interval_s or max(self.settings.interval, sensor.least_s)
        return SensorReader(sensor, f"sensors.{n}", self.sysfs, interval_s, self.settings.max_retry_interval)


def main() -> None:
    """Runs the service as this process."""
    run(KernelSensor)
