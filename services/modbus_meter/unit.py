"""One device on the line: how it is read and written, and its health."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from device_bridge import CommandError, DeviceError, DeviceErrorKind, Reading, Result, Sample, Value
from device_bridge.control import Member

from .groups import Group, group_of, grouped
from .master import BUSY, NOT_THERE, ModbusMaster, Refused
from .registers import RegisterSettings
from .settings import ModbusSettings, UnitSettings

_BUSY_S = 0.1
"""Pause before a unit is asked again that said it was busy."""
T = TypeVar("T")


class Unit:
    """One device on the line.

    Parameters:
        settings: address and name.
        registers: what it measures.
        service: how to read it.
        master: of its line.
    """

    def __init__(
        self,
        settings: UnitSettings,
        registers: tuple[RegisterSettings, ...],
        service: ModbusSettings,
        master: ModbusMaster,
    ) -> None:
        self._settings, self._master, self._retries = settings, master, service.retries
        self.registers = {register.name: register for register in registers}
        self._all_groups = grouped(registers, service.max_gap, service.max_registers)
        self._groups = list(self._all_groups)
        self.member = Member(
            settings.label,
            [register.quantity for register in registers],
            retry_s=service.interval,
            max_retry_s=service.max_retry_interval,
        )
        self.tried_at = 0.0
        """When it was read last, on the loop's clock."""

    async def read(self) -> Sample:
        """Its readings; all bad when it has just failed, none while it goes on failing."""
        self.tried_at = asyncio.get_running_loop().time()
        return await self.member.attempt(self._measure)

    async def _measure(self) -> Sample:
        if self.member.is_failing:
            self._groups = list(self._all_groups)  # it may be another device by now
        readings: list[Reading] = []
        for group in list(self._groups):
            readings += await self._read_group(group)
        self.member.counters["answers"] += 1
        return readings

    async def _read_group(self, group: Group) -> list[Reading]:
        try:
            answer = await self._repeated(
                lambda: self._master.read(self._settings, group.table, group.address, group.size)
            )
        except Refused as refusal:
            self.member.counters["refusals"] += 1
            if refusal.code not in NOT_THERE or len(group.registers) == 1:
                return group.bad(f"refused: {refusal}")
        else:
            return group.readings(answer)
        parts = group.halves()
        at = self._groups.index(group)
        self._groups[at : at + 1] = parts  # remembered: what is refused once is refused again
        return [reading for part in parts for reading in await self._read_group(part)]

    async def _repeated(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What a request gives, repeated as often as the settings say while the unit works."""
        for left in range(0 if self.member.is_failing else self._retries, -1, -1):
            try:
                return await ask()
            except DeviceError as error:
                if not left or error.kind is DeviceErrorKind.GONE:
                    raise
            except Refused as refusal:
                if not left or refusal.code not in BUSY:
                    raise
                await self._master.rest(_BUSY_S)
        raise AssertionError("unreachable")

    async def write(self, register: RegisterSettings, value: Value) -> Result:
        """Writes a register and reads it back. Raises CommandError, DeviceError."""
        try:
            words = await self._encoded(register, value)
            await self._write(register, words)
            group = group_of((register,))
            answer = await self._repeated(lambda: self._read_span(group))
        except Refused as refusal:
            return Result(ok=False, detail=f"{self._settings.label} refused: {refusal}")
        reading = register.reading_from(answer, group.address)
        at = register.address - group.address
        try:
            is_done = register.decode(answer[at : at + register.size]) == register.decode(words)
        except ValueError:
            is_done = False
        detail = "written and read back" if is_done else f"reads back {reading.value}"
        return Result(ok=is_done, detail=detail, readings=[reading])

    async def _encoded(self, register: RegisterSettings, value: Value) -> list[int]:
        if register.bits is None and register.scale_address is None:
            return register.encode(value)
        group = group_of((register,))
        answer = await self._repeated(lambda: self._read_span(group))
        at, exponent = register.address - group.address, 0
        if register.scale_address is not None:
            try:
                exponent = register.exponent(answer[register.scale_address - group.address])
            except ValueError as error:
                raise CommandError(f"{register.name} cannot be written: {error}") from None
        return register.encode(value, exponent=exponent, present=answer[at : at + register.size])

    async def _write(self, register: RegisterSettings, words: list[int]) -> None:
        for left in range(self._retries, -1, -1):
            try:
                return await self._master.write(
                    self._settings, register.table, register.address, words, register.write_function
                )
            except Refused as refusal:
                if refusal.code not in BUSY or (not left and refusal.code == BUSY[1]):
                    raise
                await self._master.rest(_BUSY_S)
                if refusal.code == BUSY[0]:  # it has begun; reading back tells how it ended
                    return None
        raise AssertionError("unreachable")

    def _read_span(self, group: Group) -> Awaitable[list[int]]:
        return self._master.read(self._settings, group.table, group.address, group.size)
