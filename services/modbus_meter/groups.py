"""Which registers are read together. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from device_bridge import Reading

from .registers import RegisterSettings
from .rtu import Table


class Group(NamedTuple):
    """Registers read by one request."""

    table: Table
    address: int
    size: int
    registers: tuple[RegisterSettings, ...]

    def readings(self, answer: Sequence[int]) -> list[Reading]:
        """What the answer says about each of them."""
        return [register.reading_from(answer, self.address) for register in self.registers]

    def bad(self, reason: str) -> list[Reading]:
        """Each of them without a value."""
        return [register.bad(reason) for register in self.registers]

    def halves(self) -> list[Group]:
        """The same registers by two requests; by one where there is only one of them."""
        middle = len(self.registers) // 2
        return [group_of(part) for part in (self.registers[:middle], self.registers[middle:]) if part]


def group_of(registers: Sequence[RegisterSettings]) -> Group:
    """Registers of one table as one request."""
    start = min(register.span[0] for register in registers)
    end = max(register.span[1] for register in registers)
    return Group(registers[0].table, start, end - start, tuple(registers))


def grouped(registers: Sequence[RegisterSettings], max_gap: int, max_count: int) -> list[Group]:
    """The fewest requests for these registers.

    Parameters:
        registers: in any order.
        max_gap: most unwanted registers that may be read along between two that are wanted.
        max_count: most registers in a request; the standard allows 125.
    """
    groups: list[Group] = []
    for register in sorted(registers, key=lambda r: (r.table, r.span)):
        last = groups[-1] if groups else None
        if last is not None and last.table == register.table:
            joined = group_of((*last.registers, register))
            if register.span[0] - (last.address + last.size) <= max_gap and joined.size <= max_count:
                groups[-1] = joined
                continue
        groups.append(group_of((register,)))
    return groups
