"""Bridges DEVICE on an I2C bus."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from device_bridge import DeviceErrorKind, DeviceService, Interval, Sample, ServiceSettings, every, run
from device_bridge.buses import I2cAddress, I2cBus, I2cSettings

from . import chip


class MyDeviceSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    bus: I2cSettings = I2cSettings()
    address: Annotated[I2cAddress, Meta(description="of the chip")] = chip.ADDRESS
    interval: Interval = 5.0


class MyDevice(DeviceService[MyDeviceSettings]):
    """DEVICE."""

    quantities = (chip.MEASURED,)

    def __init__(self, settings: MyDeviceSettings) -> None:
        super().__init__(settings)
        self.device = self.own(I2cBus(settings.bus)).device(settings.address)

    @every("interval")
    async def sample(self) -> Sample:
        """One measurement."""
        data = await self.device.write_read(bytes([chip.IDENTITY]), chip.LENGTH)
        if data[0] != chip.MY_IDENTITY:
            raise self.device.error(DeviceErrorKind.NOT_FOUND, f"another chip answers: its id is 0x{data[0]:02x}")
        return [chip.MEASURED.good(chip.decode(data[1:]))]


def main() -> None:
    """Runs the service as this process."""
    run(MyDevice)
