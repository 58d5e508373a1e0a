"""Bridges DEVICE on a GPIO line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from msgspec import Meta

from device_bridge import DeviceService, Interval, Sample, ServiceSettings, run
from device_bridge.buses import GpioLine, GpioSettings, HeldLine, LineConfig

from .protocol import TOTAL, reading_of

CONFIG = LineConfig(bias="pull_up", rising=True, debounce_us=20_000)


class MyDeviceSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    gpio: GpioSettings = GpioSettings()
    input: GpioLine
    heartbeat: Annotated[Interval, Meta(description="seconds after which the total is reported again")] = 60.0


class MyDevice(DeviceService[MyDeviceSettings]):
    """DEVICE."""

    quantities = (TOTAL,)

    def __init__(self, settings: MyDeviceSettings) -> None:
        super().__init__(settings)
        self.line = self.own(HeldLine(settings.gpio, settings.input, CONFIG))

    async def stream(self) -> AsyncIterator[Sample]:
        counted = 0
        while True:
            edges = self.line.counters()["edges"]
            total, counted = self.totals.add("pulses", edges - counted), edges
            yield [reading_of(total)]
            await self.line.changed(self.settings.heartbeat)


def main() -> None:
    """Runs the service as this process."""
    run(MyDevice)
