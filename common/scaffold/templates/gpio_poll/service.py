"""Bridges DEVICE on a GPIO line."""

from __future__ import annotations

from device_bridge import DeviceService, Interval, Sample, ServiceSettings, every, run
from device_bridge.buses import GpioLine, GpioSettings, HeldLine, LineConfig

from .protocol import CLOSED, reading_of


class MyDeviceSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    gpio: GpioSettings = GpioSettings()
    input: GpioLine
    interval: Interval = 1.0


class MyDevice(DeviceService[MyDeviceSettings]):
    """DEVICE."""

    quantities = (CLOSED,)

    def __init__(self, settings: MyDeviceSettings) -> None:
        super().__init__(settings)
        self.line = self.own(HeldLine(settings.gpio, settings.input, LineConfig(bias="pull_up")))

    @every("interval")
    async def sample(self) -> Sample:
        """The state now."""
        return [reading_of(await self.line.get())]


def main() -> None:
    """Runs the service as this process."""
    run(MyDevice)
