"""Bridges DEVICE on a GPIO line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from msgspec import Meta

from device_bridge import DeviceService, Interval, Sample, ServiceSettings, run
from device_bridge.buses import GpioLine, GpioSettings, HeldLine, LineConfig

from .protocol import CLOSED, reading_of

CONFIG = LineConfig(bias="pull_up", rising=True, falling=True, debounce_us=20_000)


class MyDeviceSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    gpio: GpioSettings = GpioSettings()
    input: GpioLine
    heartbeat: Annotated[Interval, Meta(description="seconds after which the state is reported again")] = 60.0


class MyDevice(DeviceService[MyDeviceSettings]):
    """DEVICE."""

    quantities = (CLOSED,)

    def __init__(self, settings: MyDeviceSettings) -> None:
        super().__init__(settings)
        self.line = self.own(HeldLine(settings.gpio, settings.input, CONFIG))

    async def stream(self) -> AsyncIterator[Sample]:
        while True:
            yield [reading_of(await self.line.get())]
            await self.line.changed(self.settings.heartbeat)


def main() -> None:
    """Runs the service as this process."""
    run(MyDevice)
