"""Bridges any device of gpiozero, on any board: sensors, lamps, motors, servos, buzzers, converters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from device_bridge import Command, CommandError, CommandSpec, DeviceService, Quality, Quantity, Result, Sample, run
from device_bridge.control import Source, leave_first_place, merged, without_samples

from .bank import DeviceBank
from .classes.table import row_of
from .settings import GpiozeroSettings, check

_MOST_UNSENT = 1000  # samples that wait while a full outbox pauses reading


class GpiozeroDevice(DeviceService[GpiozeroSettings]):
    """Devices of gpiozero."""

    def __init__(self, settings: GpiozeroSettings) -> None:
        super().__init__(settings)
        self.bank = DeviceBank(settings, lambda: self.node)
        self.methods = {
            method.command(one).name: (self.bank.devices[one.name], method)
            for one in settings.devices
            for method in row_of(one).methods_of(one)
        }
        self.unsent = 0

    @classmethod
    def readme_tables(cls) -> dict[str, str]:
        from .classes.page import classes_page  # noqa: PLC0415 - for `make docs` alone

        return {"classes": classes_page()}

    @classmethod
    def check_settings(cls, settings: GpiozeroSettings) -> None:
        check(settings)

    @classmethod
    def quantities_of(cls, settings: GpiozeroSettings) -> tuple[Quantity, ...]:
        return tuple(measure.quantity(one) for one in settings.devices for measure in row_of(one).measures_of(one))

    @classmethod
    def commands_of(cls, settings: GpiozeroSettings) -> tuple[CommandSpec, ...]:
        return tuple(method.command(one) for one in settings.devices for method in row_of(one).methods_of(one))

    async def open(self) -> None:
        await super().open()
        self.members = [device.member for device in self.bank.devices.values()]
        await self.bank.open()

    async def close(self) -> None:
        await self.bank.close()
        await super().close()

    def stream(self) -> AsyncIterator[Sample]:
        sources: list[Source] = [*map(without_samples, (self.bank.watch, self.bank.keep_guarded))]
        sources += [partial(self.bank.run, device) for device in self.bank.devices.values()]
        # What rules decide by is not to wait for the outbox.
        return merged(sources, most=_MOST_UNSENT, dropped=self._count_unsent)

    def _count_unsent(self, sample: Sample) -> None:
        self.unsent += len(sample)

    async def execute(self, command: Command) -> Result:
        device, method = self.methods[command.name]
        if device.is_output and (reason := self.bank.reason_to_hold):
            raise CommandError(f"outputs stay in their safe state until settings are good again: {reason}")
        self.bank.drop_pending(device.name)
        readings = await device.execute(method, command.parameters)
        reason = "; ".join(one.reason for one in readings if one.quality is Quality.UNCERTAIN)
        return Result(ok=not reason, detail=reason or "done and read back", readings=readings)

    def counters(self) -> dict[str, int]:
        trips, restarts = self.bank.trips, self.bank.guard.restarts
        return {"safety_trips": trips, "watchdog_restarts": restarts, "unsent_readings": self.unsent}


def main() -> None:
    """Runs the service as this process, or as its child where this is the first one of a container."""
    leave_first_place()
    run(GpiozeroDevice)
