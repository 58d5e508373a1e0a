"""Bridges a Bosch BME280 (temperature, humidity, pressure) or BMP280 (no humidity) on an I2C bus."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from msgspec import Meta

from device_bridge import (
    DeviceErrorKind,
    DeviceService,
    Quality,
    Quantity,
    Reading,
    Sample,
    ServiceSettings,
    every,
    run,
)
from device_bridge.buses import I2cAddress, I2cBus, I2cDevice, I2cSettings

from . import chip
from .chip import Calibration

Times = Literal[1, 2, 4, 8, 16]
_CHIPS = {chip.BME280_ID: "BME280", chip.BMP280_ID: "BMP280"}


class ClimateSettings(ServiceSettings, frozen=True, kw_only=True):
    """What this service can be told beside the settings every service has."""

    bus: I2cSettings = I2cSettings()
    address: Annotated[I2cAddress, Meta(description="0x76, or 0x77 where SDO is high")] = 0x76
    interval: Annotated[float, Meta(ge=0.05, le=86_400, description="seconds from reading to reading")] = 5.0
    mode: Annotated[
        Literal["forced", "normal"],
        Meta(description="`forced`: measures when asked, sleeps between; `normal`: measures all the time"),
    ] = "forced"
    oversampling_temperature: Annotated[Times, Meta(description="measurements averaged by the chip")] = 1
    oversampling_pressure: Annotated[Literal[0, 1, 2, 4, 8, 16], Meta(description="0 leaves the quantity out")] = 1
    oversampling_humidity: Annotated[Literal[0, 1, 2, 4, 8, 16], Meta(description="0 leaves the quantity out")] = 1
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
        self.bus = I2cBus(settings.bus)
        self.device: I2cDevice = self.bus.device(settings.address)
        self.has_humidity = True

    @classmethod
    def quantities_of(cls, settings: ClimateSettings) -> tuple[Quantity, ...]:
        skipped = {
            name
            for name, times in (
                ("pressure", settings.oversampling_pressure),
                ("humidity", settings.oversampling_humidity),
            )
            if not times
        }
        return tuple(quantity for quantity in cls.quantities if quantity.name not in skipped)

    async def open(self) -> None:
        await self.bus.open()
        async with self.device.transaction() as device:
            found = await device.read_byte(chip.ID)
            if found not in _CHIPS:
                known = " or ".join(f"0x{known:02x} ({name})" for known, name in _CHIPS.items())
                detail = f"chip id is 0x{found:02x}, {known} is expected; another chip has this address"
                raise device.error(DeviceErrorKind.NOT_FOUND, detail)
            self.has_humidity = found == chip.BME280_ID and bool(self.settings.oversampling_humidity)
            await device.write_byte(chip.RESET, chip.RESET_WORD)
            await asyncio.sleep(chip.START_UP_S)
            await self._until_clear(device, chip.COPYING, 0.05)
            self.calibration = await self._calibration(device, found)
            await self._configure(device)
        self.log.info("%s is a %s", self.bus.name_of(device.address), _CHIPS[found])

    async def close(self) -> None:
        await self.bus.close()

    async def _calibration(self, device: I2cDevice, found: int) -> Calibration:
        """The chip's constants, read twice: a wrong bit here would bend every reading from now on, unseen."""

        async def read() -> tuple[bytes, bytes]:
            main = await device.write_read(bytes([chip.CALIBRATION]), chip.CALIBRATION_SIZE)
            if found != chip.BME280_ID:
                return main, b""
            return main, await device.write_read(bytes([chip.HUMIDITY_CALIBRATION]), chip.HUMIDITY_CALIBRATION_SIZE)

        first, second = await read(), await read()
        if first != second:
            raise device.error(
                DeviceErrorKind.GARBLED, "two reads of its calibration differ: check wires and pull-ups"
            )
        if len(set(first[0])) == 1:
            raise device.error(DeviceErrorKind.GARBLED, f"its calibration is nothing but 0x{first[0][0]:02x}")
        return Calibration.from_bytes(*first)

    async def _configure(self, device: I2cDevice) -> None:
        settings = self.settings
        self.humidity_control = chip.OVERSAMPLING[settings.oversampling_humidity] if self.has_humidity else 0
        self.control = (
            chip.OVERSAMPLING[settings.oversampling_temperature] << 5
            | chip.OVERSAMPLING[settings.oversampling_pressure] << 2
        )
        config = chip.STANDBY_MS[float(settings.standby)] << 5 | chip.FILTER[settings.filter] << 2
        self.measurement_s = chip.measurement_s(
            settings.oversampling_temperature,
            settings.oversampling_pressure,
            settings.oversampling_humidity if self.has_humidity else 0,
        )
        # Asleep, for config may be ignored otherwise; humidity before the rest, which makes it take effect (5.4.3).
        await device.write_byte(chip.CONFIG, config)
        if self.humidity_control:
            await device.write_byte(chip.CONTROL_HUMIDITY, self.humidity_control)
        if settings.mode == "normal":
            self.control |= chip.NORMAL
            await device.write_byte(chip.CONTROL_MEASUREMENT, self.control)
            await asyncio.sleep(self.measurement_s)
            await self._until_clear(device, chip.MEASURING, self.measurement_s)

    @every("interval")
    async def sample(self) -> Sample:
        """One measurement."""
        async with self.device.transaction() as device:
            if self.settings.mode == "forced":
                await device.write_byte(chip.CONTROL_MEASUREMENT, self.control | chip.FORCED)
                await asyncio.sleep(self.measurement_s)
                await self._until_clear(device, chip.MEASURING, self.measurement_s)
            # One burst, for the chip then gives values of one measurement, and its settings along with them.
            first = chip.CONTROL_HUMIDITY
            end = chip.DATA + (8 if self.has_humidity else 6)
            registers = await device.write_read(bytes([first]), end - first)
        control = registers[chip.CONTROL_MEASUREMENT - first]
        if control != self.control or (self.has_humidity and registers[0] & 0x07 != self.humidity_control):
            detail = "it has lost its settings: its supply was interrupted"
            raise self.device.error(DeviceErrorKind.GARBLED, detail)
        return self._readings(chip.raw_from_bytes(registers[chip.DATA - first :]))

    def _readings(self, raw: chip.Raw) -> Sample:
        values = chip.compensated(raw, self.calibration, integer=self.settings.arithmetic == "integer")
        return [
            _reading(quantity, values[quantity.name])
            for quantity in self.quantities_of(self.settings)
            if quantity.name != "humidity" or self.has_humidity
        ]

    async def _until_clear(self, device: I2cDevice, bits: int, patience_s: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_s
        while await device.read_byte(chip.STATUS) & bits:
            if loop.time() > deadline:
                raise device.error(DeviceErrorKind.TIMEOUT, "it does not end its measurement")
            await asyncio.sleep(0.001)

    def counters(self) -> dict[str, int]:
        return self.bus.counters()


def _reading(quantity: Quantity, value: float | None) -> Reading:
    if value is None:
        return Reading(quantity.name, None, quantity.unit, quality=Quality.BAD, reason="not measured yet")
    return Reading(quantity.name, value, quantity.unit)


def main() -> None:
    """Runs the service as this process."""
    run(ClimateSensor)
