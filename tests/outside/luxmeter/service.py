"""Bridges a Rohm BH1750, an ambient light sensor on an I2C bus."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from device_bridge import (
    DeviceError,
    DeviceService,
    Quality,
    Quantity,
    Reading,
    Sample,
    Seconds,
    ServiceSettings,
    every,
    run,
)
from device_bridge.buses import I2cAddress, I2cBus, I2cSettings

CONTINUOUS = 0x10
COUNTS_PER_LUX = 1.2


class LuxSettings(ServiceSettings, frozen=True, kw_only=True):
    """What this service can be told."""

    bus: I2cSettings = I2cSettings()
    address: I2cAddress = 0x23
    interval: Annotated[Seconds, Meta(description="from reading to reading")] = 1.0


class Luxmeter(DeviceService[LuxSettings]):
    """Rohm BH1750."""

    quantities = (Quantity("illuminance", "lx", (0, 54_612), "of the sensor's face"),)

    def __init__(self, settings: LuxSettings) -> None:
        super().__init__(settings)
        self.bus = I2cBus(settings.bus)
        self.chip = self.bus.device(settings.address)
        self.saturated = 0

    async def open(self) -> None:
        await self.bus.open()
        try:
            await self.chip.write(bytes([CONTINUOUS]))
        except DeviceError as error:
            self.log.warning("no answer: %s", error)
            raise

    @every("interval")
    async def sample(self) -> Sample:
        """One measurement."""
        raw = int.from_bytes(await self.chip.read(2), "big")
        if raw == 0xFFFF:
            self.saturated += 1
            return [Reading("illuminance", None, "lx", quality=Quality.BAD, reason="saturated")]
        return [Reading("illuminance", raw / COUNTS_PER_LUX, "lx")]

    async def close(self) -> None:
        await self.bus.close()

    def counters(self) -> dict[str, int]:
        return {"saturated": self.saturated}


def main() -> None:
    """Runs the service as this process."""
    run(Luxmeter)
