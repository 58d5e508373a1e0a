"""Bridges DEVICE on a GPIO line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

from msgspec import Meta

from device_bridge import DeviceService, Interval, Sample, ServiceSettings, run
from device_bridge.buses import GpioBus, GpioLine, GpioLines, GpioSettings, LineConfig

from .protocol import CLOSED, reading_of

DEBOUNCE_US = 20_000


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
        self.bus = self.own(GpioBus(settings.gpio))
        self.lines: GpioLines | None = None

    async def stream(self) -> AsyncIterator[Sample]:
        config = LineConfig(bias="pull_up", rising=True, falling=True, debounce_us=DEBOUNCE_US)
        self.lines = await self.bus.request([self.settings.input], config)
        while True:
            yield [reading_of(await self.lines.get())]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.settings.heartbeat):
                    await self.lines.read()

    async def close(self) -> None:
        if self.lines is not None:
            await self.lines.close()
        await super().close()


def main() -> None:
    """Runs the service as this process."""
    run(MyDevice)
