"""Bridges Modbus RTU meters: several units on one serial line, each with its own health."""

from __future__ import annotations

from collections.abc import AsyncIterator

from device_bridge import Command, CommandError, CommandSpec, DeviceService, Quantity, Result, Sample, run
from device_bridge.control import Ticker

from .master import ModbusMaster
from .settings import ModbusSettings, check, registers_of
from .unit import Unit


class ModbusMeter(DeviceService[ModbusSettings]):
    """Modbus RTU meters and other devices with registers on a serial line."""

    def __init__(self, settings: ModbusSettings) -> None:
        super().__init__(settings)
        self.master = self.own(ModbusMaster(settings.serial, settings.timeout, settings.pause))
        self.units = [Unit(unit, registers, settings, self.master) for unit, registers in registers_of(settings)]
        self.members = [unit.member for unit in self.units]

    @classmethod
    def check_settings(cls, settings: ModbusSettings) -> None:
        check(settings)

    @classmethod
    def quantities_of(cls, settings: ModbusSettings) -> tuple[Quantity, ...]:
        return tuple(register.quantity for _, registers in registers_of(settings) for register in registers)

    @classmethod
    def commands_of(cls, settings: ModbusSettings) -> tuple[CommandSpec, ...]:
        return tuple(r.command for _, registers in registers_of(settings) for r in registers if r.writable)

    async def stream(self) -> AsyncIterator[Sample]:
        ticker = Ticker(self.settings.interval)
        while True:
            for unit in self.units:
                if not unit.member.is_failing:
                    yield await unit.read()
            # After the others, and one in a round: waiting for the absent costs those present nothing.
            absent = [unit for unit in self.units if unit.member.is_failing and not unit.member.retry_in_s]
            if absent:
                yield await min(absent, key=lambda unit: unit.tried_at).read()
            await self.master.rest(ticker.advance())

    async def execute(self, command: Command) -> Result:
        for unit in self.units:
            register = unit.registers.get(command.name)
            if register is not None and register.writable and command.value is not None:
                return await unit.write(register, command.value)
        raise CommandError(f"{command.name!r} cannot be written")


def main() -> None:
    """Runs the service as this process."""
    run(ModbusMeter)
