"""Bridges DEVICE on a GPIO line: off unless a command switched it on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from msgspec import Meta

from device_bridge import Command, CommandedSettings, DeviceService, Interval, Result, Sample, every, run
from device_bridge.buses import GpioLine, GpioSettings, HeldLine, LineConfig
from device_bridge.control import SafeStateGuard, leave_first_place, merged, without_samples

from .protocol import ON, SAFE, SET


class MyDeviceSettings(CommandedSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    gpio: GpioSettings = GpioSettings()
    output: GpioLine
    interval: Interval = 1.0
    watchdog: Annotated[bool, Meta(description="whether a second process makes it safe if this one is killed")] = True


class MyDevice(DeviceService[MyDeviceSettings]):
    """DEVICE."""

    quantities = (ON,)
    commands = (SET,)

    def __init__(self, settings: MyDeviceSettings) -> None:
        super().__init__(settings)
        self.line = self.own(HeldLine(settings.gpio, settings.output, LineConfig(output=True, values=int(SAFE))))
        self.guard = SafeStateGuard()

    async def open(self) -> None:
        await super().open()
        if self.settings.watchdog:
            await self.guard.protect([self.line.safe_act])

    def stream(self) -> AsyncIterator[Sample]:
        return merged([without_samples(self.guard.keep_running)])

    @every("interval")
    async def sample(self) -> Sample:
        """The state now."""
        return [ON.good(await self.line.get())]

    async def execute(self, command: Command) -> Result:
        await self.line.set(command.value is True)
        readings = await self.sample()
        return Result(ok=readings[0].value is command.value, detail="read back", readings=readings)

    async def close(self) -> None:
        await self.guard.stop(act=True)
        await super().close()


def main() -> None:
    """Runs the service as this process, or as its child where this is the first one of a container."""
    leave_first_place()
    run(MyDevice)
