"""An I2C chip as a profile describes it: what is written and read, and what the bytes mean. No I/O."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from device_bridge import Reading, Settings, SettingsError
from device_bridge.buses import I2cAddress
from device_bridge.protocols import Checksum, ChecksumSettings, FieldSettings, Raw

Bytes = tuple[Annotated[int, Meta(ge=0, le=255)], ...]
Pause = Annotated[float, Meta(ge=0, le=60)]

_WORD_CRC = Checksum(ChecksumSettings(algorithm="CRC-8/NRSC-5"))
"""Sensirion's: polynomial 0x31, start 0xFF (SHT3x data sheet, section 4.12)."""


class GarbledError(Exception):
    """Bytes whose checksum is wrong."""


class ReadSettings(Settings, frozen=True, kw_only=True):
    """Bytes read from the chip, mostly after writing a register's number."""

    write: Bytes = ()
    pause_s: Annotated[Pause, Meta(description="between writing and reading; without one, a repeated start")] = 0.0
    read: Annotated[int, Meta(ge=0, le=64, description="how many bytes")] = 0
    checksum: Annotated[
        Literal["", "words", "whole"], Meta(description="CRC-8 after every two bytes, or after the last one")
    ] = ""

    def strip(self, data: bytes) -> bytes:
        """The bytes without their checksums. Raises GarbledError."""
        if not self.checksum:
            return data
        size = 3 if self.checksum == "words" else len(data)
        parts = [_WORD_CRC.strip(data[at : at + size]) for at in range(0, len(data), size)]
        if None in parts:
            raise GarbledError(f"checksum error in {data.hex(' ')}")
        return b"".join(part for part in parts if part)

    def append(self, body: bytes) -> bytes:
        """The bytes with their checksums."""
        if not self.checksum:
            return body
        size = 2 if self.checksum == "words" else len(body)
        return b"".join(_WORD_CRC.append(body[at : at + size]) for at in range(0, len(body), size))

    @property
    def body_size(self) -> int:
        """How many bytes remain without checksums."""
        return {"": self.read, "words": self.read // 3 * 2, "whole": self.read - 1}[self.checksum]


class MatchSettings(ReadSettings, frozen=True, kw_only=True):
    """Bytes that have to be as expected: all of them as one number, its masked bits compared."""

    mask: Annotated[int, Meta(ge=0, description="bits that count; 0: any answer will do")] = 0
    equals: Annotated[int, Meta(ge=0)] = 0
    differs: Annotated[bool, Meta(description="has to be anything but `equals`")] = False

    def holds(self, body: bytes) -> bool:
        """Whether it is as expected."""
        return not self.mask or (int.from_bytes(body, "big") & self.mask == self.equals) != self.differs

    def body(self, *, holds: bool) -> bytes:
        """Bytes that are as expected, or not."""
        number = self.equals if holds != self.differs else self.equals ^ self.mask
        return number.to_bytes(self.body_size, "big")


class StepSettings(Settings, frozen=True, kw_only=True):
    """One step of making the chip ready: it is identified, or something is written."""

    identify: Annotated[MatchSettings | None, Meta(description="what only this chip answers")] = None
    write: Bytes = ()
    wait_s: Annotated[Pause, Meta(description="before the next step")] = 0.0
    kept: Annotated[
        MatchSettings | None, Meta(description="checked before each measurement: still so? else the chip was reset")
    ] = None


class FlagSettings(MatchSettings, frozen=True, kw_only=True):
    """Bits by which the chip says that what it measured is not valid."""

    name: str
    reason: str


class ChipField(FieldSettings, frozen=True, kw_only=True):
    """One value in the bytes of a read."""

    at: Annotated[int, Meta(ge=0, le=63, description="first byte, from 0, checksums not counted")] = 0
    size: Annotated[int, Meta(ge=1, le=8, description="how many bytes")] = 2
    order: Literal["big", "little"] = "big"
    bits: Annotated[tuple[int, int] | None, Meta(description="first bit (0 is the least) and number of bits")] = None
    signed: bool = False
    coding: Annotated[
        Literal["binary", "bcd_clock"],
        Meta(description="`bcd_clock`: seven bytes, seconds to years, as real-time clocks have them"),
    ] = "binary"
    table: Annotated[
        tuple[tuple[float, float], ...],
        Meta(description="raw values and what they mean, between them straight lines; in place of scale and offset"),
    ] = ()
    crop: Annotated[bool, Meta(description="values beyond `valid` are its ends")] = False
    typical: Annotated[float | None, Meta(description="what an emulated chip measures unless told")] = None

    @property
    def width(self) -> int:
        """Bits of the raw value."""
        return self.bits[1] if self.bits else self.size * 8

    @property
    def raw_limits(self) -> tuple[int, int]:
        """The least and greatest raw value."""
        return (-(1 << self.width - 1), (1 << self.width - 1) - 1) if self.signed else (0, (1 << self.width) - 1)

    def interpreted(self, raw: str | float | bool) -> Reading:
        """The reading of a raw value that is neither missing nor one of a few."""
        if isinstance(raw, str):
            return self.good(raw)
        value = _interpolated(raw, self.table) if self.table else raw * self.scale + self.offset
        if self.crop and self.valid:
            value = min(max(value, self.valid[0]), self.valid[1])
        return self.good(value)

    def raw_for(self, value: float) -> int:
        """The raw value nearest to a physical one. Raises ValueError for one that the chip cannot tell."""
        low, high = self.raw_limits
        if self.table:
            low, high = int(self.table[0][0]), int(self.table[-1][0])
            value = _interpolated(value, tuple(sorted((meaning, raw) for raw, meaning in self.table)))
        else:
            value = (value - self.offset) / self.scale
        raw = round(value)
        if not low <= raw <= high or raw in self.missing:
            ends = sorted(f"{end * self.scale + self.offset:g}" for end in (low, high)) if not self.table else ()
            raise ValueError(
                f"{self.name}: the chip can tell {' to '.join(ends) or 'what is in its table'} {self.unit}"
            )
        return raw

    def raw(self, body: bytes) -> Raw:
        """The raw value in these bytes."""
        data = body[self.at : self.at + self.size]
        if self.coding == "bcd_clock":
            return _clock_text(data)
        number = int.from_bytes(data, self.order)
        if self.bits:
            number = number >> self.bits[0] & ((1 << self.bits[1]) - 1)
        return number - (1 << self.width) if self.signed and number >> (self.width - 1) else number

    def put(self, raw: int, body: bytearray) -> None:
        """Puts a raw value into bytes; the inverse of `raw`, for emulators."""
        start = self.bits[0] if self.bits else 0
        mask = ((1 << self.width) - 1) << start
        number = int.from_bytes(body[self.at : self.at + self.size], self.order) & ~mask | raw << start & mask
        body[self.at : self.at + self.size] = number.to_bytes(self.size, self.order)


class ConversionSettings(Settings, frozen=True, kw_only=True):
    """One measurement: started, awaited, read."""

    start: Annotated[Bytes, Meta(description="what starts it; nothing where the chip measures by itself")] = ()
    wait_s: Annotated[Pause, Meta(description="the longest time it takes")] = 0.0
    ready: Annotated[MatchSettings | None, Meta(description="how the chip says that it has done")] = None
    ready_timeout_s: Annotated[Pause, Meta(description="how much longer it may take then")] = 0.1
    read: ReadSettings
    invalid: Annotated[tuple[FlagSettings, ...], Meta(description="what makes all of it bad")] = ()
    fields: Annotated[tuple[ChipField, ...], Meta(min_length=1)]
    update_s: Annotated[Pause, Meta(description="how often a chip that measures by itself has a new value")] = 0.0
    while_busy: Annotated[
        Literal["no_acknowledge", "stale"], Meta(description="what an emulated chip does when read too early")
    ] = "stale"


class ChipSettings(Settings, frozen=True, kw_only=True):
    """A chip: how it is made ready, and what is read from it."""

    address: I2cAddress
    init: tuple[StepSettings, ...] = ()
    reads: Annotated[tuple[ConversionSettings, ...], Meta(min_length=1)]

    @property
    def fields(self) -> tuple[ChipField, ...]:
        """Everything it measures."""
        return tuple(field for conversion in self.reads for field in conversion.fields)


def _interpolated(x: float, table: tuple[tuple[float, float], ...]) -> float:
    """On straight lines between the points; before the first and after the last as at these."""
    if x <= table[0][0]:
        return table[0][1]
    for (x0, y0), (x1, y1) in itertools.pairwise(table):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return table[-1][1]


def checked(chip: ChipSettings, where: str) -> ChipSettings:
    """The chip, if what it says fits together. Raises SettingsError."""
    names = [field.name for field in chip.fields]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"{where}.reads.fields.name", name, "stands twice", "Give each value its own name.")
    for conversion in chip.reads:
        for field in conversion.fields:
            at = f"{where}.reads.fields.{field.name}"
            if field.at + field.size > conversion.read.body_size:
                rule = f"ends after the {conversion.read.body_size} bytes that are read"
                raise SettingsError(at, field.at, rule, "Read more, or correct `at` and `size`.")
            if field.bits and sum(field.bits) > field.size * 8:
                raise SettingsError(at, field.bits, f"leaves its {field.size} bytes", "Correct `bits`.")
            if field.coding == "bcd_clock" and field.size != 7:
                raise SettingsError(at, field.size, "is not the size of a clock", "Write size = 7.")
            if list(field.table) != sorted(set(field.table)) or len(field.table) == 1:
                raise SettingsError(at, field.table, "does not rise", "List pairs by rising raw value, two at least.")
    return chip


def named(chip: ChipSettings, sensor: str) -> ChipSettings:
    """The chip with its values as they are called in readings: `sensor/name`."""
    if not sensor:
        return chip
    replace = msgspec.structs.replace
    return replace(
        chip,
        reads=tuple(
            replace(c, fields=tuple(replace(field, name=f"{sensor}/{field.name}") for field in c.fields))
            for c in chip.reads
        ),
    )


def _clock_text(data: bytes) -> str:
    """ISO 8601, from the registers of a DS1307, DS3231 or the like; "" for what is no time."""
    from datetime import datetime  # noqa: PLC0415 - few chips are clocks

    second, minute, hour, _, day, month, year = data
    text = f"{year:02x}-{month & 0x1F:02x}-{day:02x} {minute:02x}:{second & 0x7F:02x}"
    if hour & 0x40:  # twelve hours, bit 5 for the afternoon
        text, form = f"{text} {hour & 0x1F:02x} {'PM' if hour & 0x20 else 'AM'}", "%y-%m-%d %M:%S %I %p"
    else:
        text, form = f"{text} {hour & 0x3F:02x}", "%y-%m-%d %M:%S %H"
    try:
        return datetime.strptime(text, form).isoformat() + "Z"
    except ValueError:
        return ""


def clock_bytes(seconds: float) -> bytes:
    """The same registers for a time in seconds since 1970; the inverse, for emulators."""
    from datetime import UTC, datetime  # noqa: PLC0415

    text = datetime.fromtimestamp(seconds, UTC).strftime("%S%M%H0%w%d%m%y")
    return bytes.fromhex(text)
