"""Bridges Modbus RTU meters: several units on one serial line, each with its own health."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from device_bridge import (
    Command,
    CommandedSettings,
    CommandError,
    DeviceError,
    DeviceErrorKind,
    DeviceService,
    Quantity,
    Reading,
    Result,
    Sample,
    Settings,
    SettingsError,
    run,
)
from device_bridge.buses import SerialSettings
from device_bridge.settings import read_profile
from iofog_sdk import Backoff

from .master import ModbusMaster, Refused
from .registers import Group, RegisterSettings, grouped, named

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]*$", max_length=50)]


class UnitSettings(Settings, frozen=True, kw_only=True):
    """One device on the line."""

    address: Annotated[int, Meta(ge=1, le=247)] = 1
    name: Name = ""
    profile: str = ""


class ModbusSettings(CommandedSettings, frozen=True, kw_only=True):
    """What this service can be told beside the settings every service has."""

    profiles: ClassVar[str] = "modbus_meter"

    profile: Annotated[str, Meta(description="ready settings for a known device; all others change them")] = ""
    serial: SerialSettings
    units: Annotated[
        tuple[UnitSettings, ...],
        Meta(
            min_length=1,
            description="each with `address`, `name` (put before its readings), `profile` if not that of all",
        ),
    ] = (UnitSettings(),)
    registers: Annotated[tuple[RegisterSettings, ...], Meta(description="what is read from every unit")] = ()
    interval: Annotated[float, Meta(ge=0.05, le=86_400, description="seconds from reading to reading")] = 5.0
    timeout_s: Annotated[float, Meta(ge=0.02, le=60, description="seconds to wait for an answer")] = 0.5
    retries: Annotated[int, Meta(ge=0, le=10, description="more attempts before a unit has failed")] = 1
    longest_absence: Annotated[
        float, Meta(ge=1, le=3600, description="seconds between attempts at a unit that has long been silent")
    ] = 60.0
    max_gap: Annotated[int, Meta(ge=0, le=120, description="unwanted registers that may be read along")] = 0
    max_registers: Annotated[int, Meta(ge=1, le=125, description="most registers in a request")] = 80


class Unit:
    """One device on the line, and how it stands with it.

    Parameters:
        settings: address and name.
        registers: what it measures.
        service: how to read it.
    """

    def __init__(
        self, settings: UnitSettings, registers: tuple[RegisterSettings, ...], service: ModbusSettings
    ) -> None:
        self.address, self.label = settings.address, settings.name or f"unit {settings.address}"
        self.registers = {register.name: register for register in registers}
        self.groups = grouped(registers, service.max_gap, service.max_registers)
        self.backoff = Backoff(service.interval, service.longest_absence)
        self.retry_at: float | None = None
        """When to try a silent unit again; None while it answers."""
        self.answered = self.failed = self.refused = 0

    def bad(self, reason: str) -> list[Reading]:
        """Everything it measures, without a value."""
        return [register.bad(reason) for register in self.registers.values()]


class ModbusMeter(DeviceService[ModbusSettings]):
    """Modbus RTU meters and other devices with registers on a serial line."""

    def __init__(self, settings: ModbusSettings) -> None:
        super().__init__(settings)
        self.master = ModbusMaster(settings.serial, settings.timeout_s)
        self.units = [Unit(unit, registers, settings) for unit, registers in _registers(settings)]

    @classmethod
    def quantities_of(cls, settings: ModbusSettings) -> tuple[Quantity, ...]:
        return tuple(register.quantity for _, registers in _registers(settings) for register in registers)

    async def open(self) -> None:
        await self.master.open()

    async def close(self) -> None:
        await self.master.close()

    async def stream(self) -> AsyncIterator[Sample]:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            for unit in self.units:
                if unit.retry_at is None:
                    yield await self._read(unit, 1 + self.settings.retries)
            # After the others, and one in a round: waiting for the absent costs those present nothing.
            absent = [unit for unit in self.units if unit.retry_at is not None and unit.retry_at <= loop.time()]
            if absent:
                sample = await self._read(min(absent, key=lambda unit: unit.retry_at or 0.0), 1)
                if sample:
                    yield sample
            due = max(due + self.settings.interval, loop.time())
            await self.master.rest(due - loop.time())

    async def _read(self, unit: Unit, attempts: int) -> Sample:
        """A unit's readings; all bad when it has just fallen silent, none when it still is."""
        readings: list[Reading] = []
        for group in unit.groups:
            try:
                readings += await self._read_group(unit, group, attempts)
            except DeviceError as error:
                if error.kind is DeviceErrorKind.GONE:
                    raise
                return self._absent(unit, error)
        if unit.retry_at is not None:
            self.log.info("%s answers again", unit.label)
            unit.retry_at = None
            unit.backoff.reset()
        unit.answered += 1
        return readings

    async def _read_group(self, unit: Unit, group: Group, attempts: int) -> list[Reading]:
        for left in range(attempts - 1, -1, -1):
            try:
                answer = await self.master.read(unit.address, group)
            except DeviceError as error:
                if not left or error.kind is DeviceErrorKind.GONE:
                    raise
            except Refused as refusal:
                unit.refused += 1
                return [register.bad(f"refused: {refusal}") for register in group.registers]
            else:
                return [register.reading(group.raw(register, answer)) for register in group.registers]
        raise AssertionError("unreachable")

    def _absent(self, unit: Unit, error: DeviceError) -> Sample:
        unit.failed += 1
        fell_silent = unit.retry_at is None
        unit.retry_at = asyncio.get_running_loop().time() + unit.backoff.next_s()
        if not fell_silent:
            return ()
        self.log.warning("%s: %s; the others are read on", unit.label, error.detail)
        return unit.bad(error.detail)

    async def execute(self, command: Command) -> Result:
        for unit in self.units:
            register = unit.registers.get(command.name)
            if register is not None and register.writable:
                return await self._write(unit, register, command)
        known = ", ".join(r.name for unit in self.units for r in unit.registers.values() if r.writable) or "nothing"
        raise CommandError(f"{command.name!r} cannot be written; {known} can")

    async def _write(self, unit: Unit, register: RegisterSettings, command: Command) -> Result:
        if unknown := sorted(set(command.parameters) - {"value"}):
            raise CommandError(f"parameter `{unknown[0]}` is unknown; `value` is needed")
        value = command.value
        words = [int(bool(value))] if register.is_bit else register.encode(value)
        group = Group(register.table, register.address, register.size, (register,))
        try:
            await self.master.write(unit.address, register, words)
            raw = group.raw(register, await self.master.read(unit.address, group))
        except Refused as refusal:
            return Result(ok=False, detail=f"{unit.label} refused: {refusal}")
        wanted = bool(words[0]) if register.is_bit else register.decode(words)
        reading = register.reading(raw)
        detail = "written and read back" if raw == wanted else f"reads back {reading.value}"
        return Result(ok=raw == wanted, detail=detail, readings=[reading])

    def counters(self) -> dict[str, int]:
        counts = {"garbled_answers": self.master.garbled}
        for unit in self.units:
            label = re.sub(r"\W", "_", unit.label)
            counts |= {f"{label}_answers": unit.answered, f"{label}_failures": unit.failed}
            counts |= {f"{label}_refusals": unit.refused}
        return counts


def _registers(settings: ModbusSettings) -> list[tuple[UnitSettings, tuple[RegisterSettings, ...]]]:
    """Each unit with its registers, as they are named in readings. Raises SettingsError."""
    found: list[tuple[UnitSettings, tuple[RegisterSettings, ...]]] = []
    for unit in settings.units:
        registers = settings.registers
        if unit.profile:
            profile = read_profile(settings.profiles, unit.profile)
            registers = msgspec.convert(profile.get("registers", []), tuple[RegisterSettings, ...])
        if not registers:
            raise SettingsError("registers", None, "is empty", "Name a profile, or list what is to be read.")
        found.append((unit, tuple(named(register, unit.name) for register in registers)))
    addresses = [unit.address for unit, _ in found]
    names = [register.name for _, registers in found for register in registers]
    for field, values in (("units.address", addresses), ("units.name", names)):
        twice = next((value for at, value in enumerate(values) if value in values[:at]), None)
        if twice is not None:
            raise SettingsError(field, twice, "stands twice", "Give every unit an address and a name of its own.")
    return found


def main() -> None:
    """Runs the service as this process."""
    run(ModbusMeter)
