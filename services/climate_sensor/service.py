"""Bridges a Bosch BME280 (temperature, humidity, pressure) or BMP280 (no humidity) on an I2C bus."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from device_bridge import DeviceService, Quantity, Sample, ServiceSettings, every, run
from device_bridge.buses import I2cAddress, I2cBus, I2cSettings

from .chip import NAMES, ClimateChip, Config, Oversampling, compensated

Times = Annotated[Literal[0, 1, 2, 4, 8, 16], Meta(description="0 leaves the quantity out")]


class ClimateSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those every service has."""

    bus: I2cSettings = I2cSettings()
    address: Annotated[I2cAddress, Meta(description="0x76, or 0x77 where SDO is high")] = 0x76
    interval: Annotated[float, Meta(ge=0.05, le=86_400, description="seconds from reading to reading")] = 5.0
    mode: Annotated[
        Literal["forced", "normal"],
        Meta(description="`forced`: measures when asked, sleeps between; `normal`: measures all the time"),
    ] = "forced"
    oversampling_temperature: Annotated[
        Literal[1, 2, 4, 8, 16], Meta(description="measurements averaged by the chip")
    ] = 1
    oversampling_pressure: Times = 1
    oversampling_humidity: Times = 1
    filter: Annotated[Literal[0, 2, 4, 8, 16], Meta(description="coefficient against gusts and slamming doors")] = 0
    standby: Annotated[
        Literal["0.5", "10", "20", "62.5", "125", "250", "500", "1000"],
        Meta(description="milliseconds between measurements in normal mode (BMP280: 10 and 20 mean 2000 and 4000)"),
    ] = "125"
    arithmetic: Annotated[Literal["float", "integer"], Meta(description="form of Bosch's compensation")] = "float"


class ClimateSensor(DeviceService[ClimateSettings]):
    """Bosch BME280 or BMP280."""

    quantities = (
        Quantity("temperature", "Cel", (-40, 85), "of the chip, which warms itself a little"),
        Quantity("humidity", "%RH", (0, 100), "relative; not on a BMP280"),
        Quantity("pressure", "Pa", (30_000, 110_000), "at the place of the chip, not at sea level"),
    )

    def __init__(self, settings: ClimateSettings) -> None:
        super().__init__(settings)
        self.device = self.own(I2cBus(settings.bus)).device(settings.address)
        times = (getattr(settings, f"oversampling_{name}") for name in Oversampling._fields)
        config = Config(settings.filter, float(settings.standby), normal=settings.mode == "normal")
        self.chip = ClimateChip(self.device, Oversampling(*times), config)

    @classmethod
    def quantities_of(cls, settings: ClimateSettings) -> tuple[Quantity, ...]:
        return tuple(q for q in cls.quantities if getattr(settings, f"oversampling_{q.name}"))

    async def open(self) -> None:
        await super().open()
        await self.chip.set_up()
        self.log.info("%s is a %s", self.device.name, NAMES[self.chip.identity])

    @every("interval")
    async def sample(self) -> Sample:
        """One measurement."""
        raw = await self.chip.measure()
        measured = [q for q in self.quantities if getattr(self.chip.oversampling, q.name)]
        if raw is None:
            return [q.bad("not measured yet") for q in measured]
        values = compensated(raw, self.chip.calibration, integer=self.settings.arithmetic == "integer")
        reason = "its calibration allows no value"
        return [q.bad(reason) if (value := values[q.name]) is None else q.good(value) for q in measured]


def main() -> None:
    """Runs the service as this process."""
    run(ClimateSensor)
