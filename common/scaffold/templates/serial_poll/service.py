"""Bridges DEVICE on a serial port."""

from __future__ import annotations

from device_bridge import DeviceService, Interval, Sample, ServiceSettings, every, run
from device_bridge.buses import FramedLine, SerialSettings
from device_bridge.protocols import LineFraming

from .protocol import LEVEL, QUESTION, decode, is_level


class MyDeviceSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    serial: SerialSettings
    interval: Interval = 1.0
    timeout: Interval = 0.5


class MyDevice(DeviceService[MyDeviceSettings]):
    """DEVICE."""

    quantities = (LEVEL,)

    def __init__(self, settings: MyDeviceSettings) -> None:
        super().__init__(settings)
        self.line = self.own(FramedLine(settings.serial, LineFraming(), keep=False, strict=True))

    @every("interval")
    async def sample(self) -> Sample:
        """One measurement."""
        return decode(await self.line.ask(QUESTION, is_level, self.settings.timeout, repeatable=True))


def main() -> None:
    """Runs the service as this process."""
    run(MyDevice)
