"""Values in Modbus registers: how settings describe them, decoded and encoded. No I/O.

What a value of more than one register looks like is up to each device; a scale in a register of its own is SunSpec's
(Information Model Specification, `sunssf`).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from device_bridge import CommandError, CommandSpec, Parameter, Reading, SettingsError, Value
from device_bridge.protocols import FieldSettings, Raw, short_float32

from .rtu import MAX_REGISTERS, Table

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
_MAX_WORDS = 123
"""That one request can write (section 6.12)."""
_MAX_F32 = 3.4028234e38
_Address = Annotated[int, Meta(ge=0, le=65_535)]
_Words = Annotated[int, Meta(ge=1, le=_MAX_WORDS)]
_EXACT = 2**53
"""Whole numbers up to here are exact as floating point."""
_NO_SCALE = 0x8000
_MAX_EXPONENT = 10


class RegisterSettings(FieldSettings, frozen=True, kw_only=True):
    """One value in a device's registers."""

    address: Annotated[_Address, Meta(description="as in the request, from 0: 30001 and 40001 are 0")]
    table: Annotated[Table, Meta(description="which registers; read by function 4, 3, 1, 2")] = "input"
    type: Annotated[
        Literal["u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "uint", "int", "bcd", "text"],
        Meta(description="coding; `uint`, `int`, `bcd` and `text` take `words` registers"),
    ] = "u16"
    words: Annotated[_Words | None, Meta(description="registers that the value takes; 1 by default")] = None
    word_order: Annotated[Literal["big", "little"], Meta(description="order of registers in a value")] = "big"
    byte_order: Annotated[Literal["big", "little"], Meta(description="order of bytes in a register")] = "big"
    bits: Annotated[tuple[int, int] | None, Meta(description="first bit (0 is the least) and number of bits")] = None
    scale_address: Annotated[
        _Address | None, Meta(description="register of the same table with the power of ten (SunSpec)")
    ] = None
    writable: Annotated[bool, Meta(description="whether a command of this name may write it")] = False
    write_function: Annotated[
        Literal[5, 6, 15, 16] | None, Meta(description="5 or 15 for coils, 6 or 16 for registers; as fits by default")
    ] = None

    @property
    def is_bit(self) -> bool:
        """Whether it is a coil or a discrete input."""
        return self.table in ("coil", "discrete")

    @property
    def size(self) -> int:
        """How many registers (or bits) it takes."""
        if self.is_bit:
            return 1
        return self.words or (struct.calcsize(_FORMATS[self.type]) // 2 if self.type in _FORMATS else 1)

    @property
    def span(self) -> tuple[int, int]:
        """The registers to be read together, the one with its scale included: from, to (excluded)."""
        scale = self.address if self.scale_address is None else self.scale_address
        return min(self.address, scale), max(self.address + self.size, scale + 1)

    def check(self) -> None:
        """Raises SettingsError for settings that are wrong together."""

        def refuse(is_wrong: bool, field: str, rule: str, remedy: str) -> None:
            if is_wrong:
                raise SettingsError(f"registers.{self.name}.{field}", getattr(self, field), rule, remedy)

        fixed = struct.calcsize(_FORMATS[self.type]) // 2 if self.type in _FORMATS else self.words
        rule, remedy = f"is not what {self.type} takes", "Leave it out, or write uint, int, bcd or text."
        refuse(self.words not in (None, fixed), "words", rule, remedy)
        rule, remedy = f"{self.table} registers cannot be written", "Write holding or coil as its table."
        refuse(self.writable and self.table in ("input", "discrete"), "writable", rule, remedy)
        start, count = self.bits or (0, 1)
        has_bits = not self.is_bit and self.type not in ("f32", "f64", "text", "bcd")
        is_wrong = not has_bits or start < 0 or count < 1 or start + count > 16 * self.size
        refuse(self.bits is not None and is_wrong, "bits", "are not in it", "Write first bit and number, as [4, 2].")
        if self.write_function is not None:
            rule, remedy = f"does not write {self.table}", "Write 5 or 15 for coils, 6 or 16 for holding registers."
            refuse((self.write_function in (5, 15)) != self.is_bit, "write_function", rule, remedy)
            refuse(self.write_function == 6 and self.size > 1, "write_function", "writes one register", "Write 16.")
        if self.scale_address is not None:
            has_scale = not self.is_bit and self.type != "text" and self.span[1] - self.span[0] <= MAX_REGISTERS
            refuse(not has_scale, "scale_address", "cannot scale it", f"Read both in {MAX_REGISTERS} registers.")
        refuse(self.scale == 0, "scale", "makes every value the same", "Leave it out for 1.")
        refuse(self.address + self.size > 65_536, "address", "is too near to the last register", "65535 is the last.")

    def reading(self, raw: Raw) -> Reading:
        if isinstance(raw, bool) and not {"true", "false"} & set(self.values):
            raw = int(raw) if self.values else raw  # a bit, of which `values` speaks as 1 and 0
        return super().reading(raw)

    def reading_from(self, registers: Sequence[int], start: int) -> Reading:
        """The reading in registers (or bits) that begin with that at `start`."""
        try:
            raw = self.decode(registers[self.address - start :][: self.size])
            if self.scale_address is None:
                return self.reading(raw)
            exponent = self.exponent(registers[self.scale_address - start])
        except ValueError as error:
            return self.bad(str(error))
        return msgspec.structs.replace(self, scale=self.scale * 10.0**exponent).reading(raw)

    def exponent(self, register: int) -> int:
        """The power of ten in a register. Raises ValueError for none."""
        exponent = register - 0x10000 if register & 0x8000 else register
        if register == _NO_SCALE or abs(exponent) > _MAX_EXPONENT:
            raise ValueError(f"no value (scale {exponent})")
        return exponent

    def interpreted(self, raw: str | float | bool) -> Reading:
        if isinstance(raw, str):
            return self.good(raw)
        steps = 1 / self.scale
        if isinstance(raw, bool) or self.scale == 1 or abs(steps - round(steps)) > 1e-6 * steps:
            return super().interpreted(raw)
        return msgspec.structs.replace(self, scale=1.0).interpreted(raw / round(steps))  # 3 / 10 is 0.3, 3 * 0.1 not

    def decode(self, registers: Sequence[int]) -> int | float | str | bool:
        """The raw value in its registers. Raises ValueError for registers that hold none."""
        if self.is_bit:
            return bool(registers[0])
        words = registers if self.word_order == "big" else list(reversed(registers))
        data = b"".join(word.to_bytes(2, self.byte_order) for word in words)
        if self.type == "text":
            try:
                return data.split(b"\0")[0].decode().rstrip(" ")
            except UnicodeDecodeError:
                raise ValueError(f"not text ({data[:20].hex(' ')})") from None
        if self.type == "bcd":
            if not data.hex().isdecimal():
                raise ValueError(f"not BCD ({data.hex()})")
            return int(data.hex())
        if self.type in ("f32", "f64"):
            (number,) = struct.unpack(_FORMATS[self.type], data)
            return short_float32(number) if self.type == "f32" else float(number)
        value = int.from_bytes(data, "big", signed=self.type[0] == "i")
        return value if self.bits is None else value >> self.bits[0] & (1 << self.bits[1]) - 1

    def encode(self, value: Value, *, exponent: int = 0, present: Sequence[int] = ()) -> list[int]:
        """The registers that hold a value of its command.

        Parameters:
            value: in its unit.
            exponent: the power of ten in the register with its scale.
            present: what the registers hold now, for `bits` in them.

        Raises CommandError for a value that they cannot hold as it is meant.
        """
        raw = self._raw(value, exponent)
        if self.is_bit:
            return [int(bool(raw))]
        if self.bits is not None:
            start, count = self.bits
            whole = msgspec.structs.replace(self, bits=None)
            others = int(whole.decode(present)) & ~((1 << count) - 1 << start) if present else 0
            return whole._registers(others | int(raw) << start)
        return self._registers(raw)

    @property
    def command(self) -> CommandSpec:
        """The command that writes it."""
        parameter = Parameter("value", "number", range=self._range(), unit=self.unit)
        replace = msgspec.structs.replace
        if self.values:
            meanings = tuple(self.values.values())
            kind: Literal["text", "number"] = "text" if isinstance(meanings[0], str) else "number"
            parameter = replace(parameter, kind=kind, range=None, choices=meanings)
        elif self.is_bit:
            parameter = replace(parameter, kind="boolean", range=None)
        elif self.type == "text":
            parameter = replace(parameter, kind="text", range=None)
        elif self._is_whole():
            parameter = replace(parameter, kind="integer")
        return CommandSpec(self.name, (parameter,), self.description)

    def _is_whole(self) -> bool:
        is_plain = self.scale == 1 and self.offset == 0 and self.scale_address is None
        return is_plain and self.type not in ("f32", "f64", "text")

    def _range(self) -> tuple[float, float] | None:
        """The least and greatest value that can be written; None where only the device knows."""
        bits = self.bits[1] if self.bits else 16 * self.size
        raw: tuple[float, float]
        if self.scale_address is not None or self.type in ("f64", "text"):
            return self.valid
        if self.type == "f32":
            raw = (-_MAX_F32, _MAX_F32)
        elif self.type == "bcd":
            raw = (0, 10 ** (4 * self.size) - 1)
        elif self.type[0] == "i" and not self.bits:
            raw = (-(1 << bits - 1), (1 << bits - 1) - 1)
        else:
            raw = (0, (1 << bits) - 1)
        low, high = raw if self._is_whole() else sorted(end * self.scale + self.offset for end in raw)
        return (max(low, self.valid[0]), min(high, self.valid[1])) if self.valid else (low, high)

    def _raw(self, value: Value, exponent: int) -> Value:
        for text, meaning in self.values.items():
            if meaning == value and isinstance(meaning, bool) == isinstance(value, bool):
                return text if self.type == "text" else text in ("True", "true", "1") if self.is_bit else float(text)
        if self.is_bit or isinstance(value, str) or self._is_whole():
            return value
        scale = self.scale * 10.0**exponent
        raw = (value - self.offset) / scale
        if self.type in ("f32", "f64"):
            held = struct.unpack(_FORMATS[self.type], struct.pack(_FORMATS[self.type], raw))[0]
            if scale == 1 and not self.offset and value == int(value) != held:
                remedy = f"write {held:.12g}, which it can hold"
                raise CommandError(f"`value` = {value} cannot be written to {self.name} exactly; {remedy}")
            return raw
        if abs(raw) > _EXACT:
            raise CommandError(f"`value` = {value} cannot be written to {self.name} exactly")
        if abs(raw - round(raw)) > 1e-6 * max(1.0, abs(raw)):
            low, high = (float(f"{end * scale + self.offset:.12g}") for end in (raw // 1, raw // 1 + 1))
            raise CommandError(f"`value` = {value} is between two steps of {self.name}; write {low:g} or {high:g}")
        return round(raw)

    def _registers(self, raw: Value) -> list[int]:
        size = 2 * self.size
        try:
            if self.type == "text":
                data = str(raw).encode().ljust(size, b"\0")
                if "\0" in str(raw):
                    raise ValueError("it has a NUL, where text ends")
            elif self.type == "bcd":
                data = bytes.fromhex(str(int(raw)).zfill(2 * size))
            elif self.type in ("f32", "f64"):
                data = struct.pack(_FORMATS[self.type], raw)
            else:
                data = int(raw).to_bytes(size, "big", signed=self.type[0] == "i")
        except (struct.error, OverflowError, ValueError) as error:
            raise CommandError(f"{raw} does not fit into {self.name} ({self.type}): {error}") from None
        if len(data) != size:
            raise CommandError(f"{raw!r} does not fit into {self.name}: it has {size} bytes")
        words = [int.from_bytes(data[at : at + 2], self.byte_order) for at in range(0, size, 2)]
        return words if self.word_order == "big" else words[::-1]


def named(register: RegisterSettings, unit: str) -> RegisterSettings:
    """The register as it is called in readings: `unit/name`, or just its name for a unit without one."""
    return msgspec.structs.replace(register, name=f"{unit}/{register.name}") if unit else register
