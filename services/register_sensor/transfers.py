"""Bytes written to and read from a chip: checksums, and what they are compared with. No I/O."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from device_bridge import Settings
from device_bridge.protocols import AlgorithmSettings, Checksum, ChecksumSettings

Bytes = tuple[Annotated[int, Meta(ge=0, le=255)], ...]
Pause = Annotated[float, Meta(ge=0, le=60)]


class GarbledError(Exception):
    """Bytes whose checksum is wrong."""


class ReadChecksum(AlgorithmSettings, frozen=True, kw_only=True):
    """A checksum among bytes that are read."""

    every: Annotated[int, Meta(ge=0, le=64, description="bytes before each checksum; 0: one for the whole read")] = 0
    at: Annotated[
        Annotated[int, Meta(ge=0, le=63)] | None, Meta(description="its first byte; by default it is the last")
    ] = None
    count: Annotated[int, Meta(ge=0, le=64, description="bytes it covers, after those skipped; 0: all others")] = 0
    covers: Annotated[
        Literal["data", "transfer"],
        Meta(description="`transfer`: also address and command, as the packet error code of SMBus does"),
    ] = "data"


_BY_NAME = {
    # Sensirion's: polynomial 0x31, start 0xFF (SHT3x data sheet, section 4.12).
    "words": ReadChecksum(algorithm="CRC-8/NRSC-5", every=2),
    "whole": ReadChecksum(algorithm="CRC-8/NRSC-5"),
    "pec": ReadChecksum(algorithm="CRC-8/SMBUS", covers="transfer"),  # SMBus 3.2, section 6.4
}


class InsertSettings(Settings, frozen=True, kw_only=True):
    """Where the code of a parameter's value goes: bits of the bytes beside it, taken as one big-endian number."""

    parameter: str
    bit: Annotated[int, Meta(ge=0, le=511, description="lowest bit")]
    count: Annotated[int, Meta(ge=1, le=16, description="how many bits")]


class ReadSettings(Settings, frozen=True, kw_only=True):
    """Bytes read from the chip, mostly after writing a register's number."""

    renamed: ClassVar[Mapping[str, str]] = {"pause_s": "pause"}

    write: Bytes = ()
    pause: Annotated[Pause, Meta(description="between writing and reading; without one, a repeated start")] = 0.0
    read: Annotated[int, Meta(ge=0, le=64, description="how many bytes")] = 0
    checksum: Annotated[
        Literal["", "words", "whole", "pec"] | ReadChecksum,
        Meta(description="`words`, `whole`: Sensirion's CRC-8 after every two bytes or after the last; `pec`: SMBus"),
    ] = ""

    @property
    def checked_by(self) -> ReadChecksum | None:
        """Its checksum."""
        return _BY_NAME.get(self.checksum) if isinstance(self.checksum, str) else self.checksum

    def strip(self, data: bytes, address: int = 0) -> bytes:
        """The bytes without their checksums. Raises GarbledError.

        Parameters:
            data: as read.
            address: of the chip, for checksums that cover it.
        """
        body = b""
        for settings, check, part in self._parts(data, 0):
            at = len(part) - check.size if settings.at is None else settings.at
            rest, found = part[:at] + part[at + check.size :], part[at : at + check.size]
            if found != self._value(settings, check, rest, address):
                raise GarbledError(f"checksum error in {data.hex(' ')}")
            body += rest
        return body if self.checksum else data

    def append(self, body: bytes, address: int = 0) -> bytes:
        """The bytes with their checksums."""
        data = b""
        for settings, check, part in self._parts(body, 1):
            at = len(part) if settings.at is None else settings.at
            data += part[:at] + self._value(settings, check, part, address) + part[at:]
        return data if self.checksum else body

    def _parts(self, data: bytes, without: int) -> Iterator[tuple[ReadChecksum, Checksum, bytes]]:
        """Stretches with a checksum each, or without them."""
        settings = self.checked_by
        if settings is None:
            return
        check = _checksum(settings.algorithm, settings.byte_order, settings.start)
        size = settings.every + check.size * (not without) if settings.every else max(len(data), 1)
        for at in range(0, len(data), size):
            yield settings, check, data[at : at + size]

    def _value(self, settings: ReadChecksum, check: Checksum, part: bytes, address: int) -> bytes:
        covered = part[settings.skip : settings.skip + settings.count] if settings.count else part[settings.skip :]
        if settings.covers == "transfer":
            before = bytes([address << 1, *self.write]) if self.write and not self.pause else b""
            covered = before + bytes([address << 1 | 1]) + covered
        return check.value(covered)

    @property
    def body_size(self) -> int:
        """How many bytes remain without checksums."""
        settings = self.checked_by
        if settings is None:
            return self.read
        size = _checksum(settings.algorithm, settings.byte_order, settings.start).size
        parts = -(-self.read // (settings.every + size)) if settings.every else 1
        return max(0, self.read - parts * size)


@functools.lru_cache
def _checksum(algorithm: str, byte_order: Literal["big", "little"], start: int | None) -> Checksum:
    return Checksum(ChecksumSettings(algorithm=algorithm, byte_order=byte_order, start=start))


class MatchSettings(ReadSettings, frozen=True, kw_only=True):
    """Bytes that have to be as expected: all of them as one number, its masked bits compared."""

    mask: Annotated[int, Meta(ge=0, description="bits that count; 0: any answer will do")] = 0
    equals: Annotated[int, Meta(ge=0)] = 0
    differs: Annotated[bool, Meta(description="has to be anything but `equals`")] = False
    insert: Annotated[tuple[InsertSettings, ...], Meta(description="codes of parameters, into `equals`")] = ()

    def holds(self, body: bytes) -> bool:
        """Whether it is as expected."""
        return not self.mask or (int.from_bytes(body, "big") & self.mask == self.equals) != self.differs

    def body(self, *, holds: bool) -> bytes:
        """Bytes that are as expected, or not."""
        return self.number(holds=holds).to_bytes(self.body_size, "big")

    def number(self, *, holds: bool) -> int:
        """The same as a number."""
        return self.equals if holds != self.differs else 0 if self.equals else self.mask


class FlagSettings(MatchSettings, frozen=True, kw_only=True):
    """Bits by which the chip says something about what it measured."""

    name: str
    reason: str
    read: Annotated[int, Meta(ge=0, le=64, description="how many bytes; 0: those of the measurement itself")] = 0
    at: Annotated[int, Meta(ge=0, le=63, description="first byte in those of the measurement")] = 0
    size: Annotated[int, Meta(ge=1, le=8, description="how many of them")] = 1
    fields: Annotated[tuple[str, ...], Meta(description="what it concerns; by default all of the measurement")] = ()
    then: Annotated[
        Literal["bad", "uncertain", "keep", "read_again"],
        Meta(
            description="`bad`: no value; `uncertain`: marked; `keep`: nothing new is sent, the last value stands; "
            "`read_again`: until `ready_timeout`, then no value"
        ),
    ] = "bad"


class StepSettings(Settings, frozen=True, kw_only=True):
    """One step of making the chip ready: it is identified, or something is written."""

    renamed: ClassVar[Mapping[str, str]] = {"wait_s": "wait"}

    identify: Annotated[MatchSettings | None, Meta(description="what only this chip answers")] = None
    write: Bytes = ()
    insert: Annotated[tuple[InsertSettings, ...], Meta(description="codes of parameters, into `write`")] = ()
    wait: Annotated[Pause, Meta(description="before the next step")] = 0.0
    kept: Annotated[
        MatchSettings | None, Meta(description="checked after each measurement: if not, the chip was reset")
    ] = None
