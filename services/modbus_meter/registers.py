"""Values in Modbus registers, and how registers are read together. No I/O.

Follows the MODBUS Application Protocol Specification V1.1b3; what a value of more than one register looks like is up
to each device.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from device_bridge import CommandError, Value
from device_bridge.protocols import FieldSettings

_FORMATS = {
    "u16": ">H",
    "i16": ">h",
    "u32": ">I",
    "i32": ">i",
    "u64": ">Q",
    "i64": ">q",
    "f32": ">f",
    "f64": ">d",
}
Table = Literal["input", "holding", "coil", "discrete"]


class RegisterSettings(FieldSettings, frozen=True, kw_only=True):
    """One value in a device's registers."""

    address: Annotated[int, Meta(ge=0, le=65_535, description="as in the request, from 0: 30001 and 40001 are 0")]
    table: Annotated[Table, Meta(description="which registers; read by function 4, 3, 1, 2")] = "input"
    type: Literal["u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64"] = "u16"
    word_order: Annotated[Literal["big", "little"], Meta(description="order of registers in a value")] = "big"
    byte_order: Annotated[Literal["big", "little"], Meta(description="order of bytes in a register")] = "big"
    bits: Annotated[tuple[int, int] | None, Meta(description="first bit (0 is the least) and number of bits")] = None
    writable: Annotated[bool, Meta(description="whether a command of this name may write it")] = False

    @property
    def is_bit(self) -> bool:
        """Whether it is a coil or a discrete input."""
        return self.table in ("coil", "discrete")

    @property
    def size(self) -> int:
        """How many registers (or bits) it takes."""
        return 1 if self.is_bit else struct.calcsize(_FORMATS[self.type]) // 2

    def decode(self, registers: Sequence[int]) -> float:
        """The raw value in its registers."""
        words = registers if self.word_order == "big" else list(reversed(registers))
        data = b"".join(word.to_bytes(2, self.byte_order) for word in words)
        value: float = struct.unpack(_FORMATS[self.type], data)[0]
        if self.bits is not None:
            start, count = self.bits
            value = (int(value) >> start) & ((1 << count) - 1)
        return value

    def encode(self, value: Value | None) -> list[int]:
        """The registers that hold a value given in its unit. Raises CommandError for one that cannot be written."""
        for raw, meaning in self.values.items():
            if meaning == value:
                return self._registers(float(raw))
        if self.values or isinstance(value, str | bool | None):
            allowed = ", ".join(repr(meaning) for meaning in self.values.values()) or "a number"
            raise CommandError(f"`value` = {value!r} cannot be written to {self.name}; write {allowed}")
        if self.valid and not self.valid[0] <= value <= self.valid[1]:
            low, high = self.valid
            raise CommandError(f"`value` = {value} cannot be written to {self.name}; write {low:g} to {high:g}")
        return self._registers((value - self.offset) / self.scale)

    def _registers(self, raw: float) -> list[int]:
        try:
            data = struct.pack(_FORMATS[self.type], raw if self.type[0] == "f" else round(raw))
        except (struct.error, OverflowError, ValueError) as error:
            raise CommandError(f"{raw} does not fit into {self.name} ({self.type}): {error}") from None
        words = [int.from_bytes(data[at : at + 2], self.byte_order) for at in range(0, len(data), 2)]
        return words if self.word_order == "big" else words[::-1]


class Group(NamedTuple):
    """Registers read by one request."""

    table: Table
    address: int
    size: int
    registers: tuple[RegisterSettings, ...]

    def raw(self, register: RegisterSettings, answer: Sequence[int] | Sequence[bool]) -> float | bool:
        """What the answer says about a register of this group."""
        at = register.address - self.address
        if register.is_bit:
            return bool(answer[at])
        return register.decode([int(word) for word in answer[at : at + register.size]])


def grouped(registers: Sequence[RegisterSettings], max_gap: int, max_count: int) -> list[Group]:
    """The fewest requests for these registers.

    Parameters:
        registers: in any order.
        max_gap: most registers nobody wants that may be read along between two that are wanted.
        max_count: most registers in a request; the standard allows 125.
    """
    groups: list[Group] = []
    for register in sorted(registers, key=lambda r: (r.table, r.address)):
        end = register.address + register.size
        last = groups[-1] if groups else None
        if (
            last is not None
            and last.table == register.table
            and register.address - (last.address + last.size) <= max_gap
            and end - last.address <= max_count
        ):
            size = max(last.size, end - last.address)
            groups[-1] = last._replace(size=size, registers=(*last.registers, register))
        else:
            groups.append(Group(register.table, register.address, register.size, (register,)))
    return groups


def named(register: RegisterSettings, unit: str) -> RegisterSettings:
    """The register as it is called in readings: `unit/name`, or just its name for a unit without one."""
    return msgspec.structs.replace(register, name=f"{unit}/{register.name}") if unit else register
