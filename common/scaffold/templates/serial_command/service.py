"""Bridges DEVICE on a serial port."""

from __future__ import annotations

from device_bridge import Command, CommandedSettings, DeviceService, Interval, Result, Sample, every, run
from device_bridge.buses import FramedLine, SerialSettings
from device_bridge.protocols import LineFraming

from .protocol import DONE, LEVEL, QUESTION, ZERO, ZERO_QUESTION, decode, is_level


class MyDeviceSettings(CommandedSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    serial: SerialSettings
    interval: Interval = 1.0
    timeout: Interval = 0.5


class MyDevice(DeviceService[MyDeviceSettings]):
    """DEVICE."""

    quantities = (LEVEL,)
    commands = (ZERO,)

    def __init__(self, settings: MyDeviceSettings) -> None:
        super().__init__(settings)
        self.line = self.own(FramedLine(settings.serial, LineFraming(), keep=False, strict=True))

    @every("interval")
    async def sample(self) -> Sample:
        """One measurement."""
        return decode(await self.line.ask(QUESTION, is_level, self.settings.timeout, repeatable=True))

    async def execute(self, command: Command) -> Result:
        await self.line.ask(ZERO_QUESTION, DONE.__eq__, self.settings.timeout)
        return Result(ok=True, detail="done", readings=await self.sample())


def main() -> None:
    """Runs the service as this process."""
    run(MyDevice)
