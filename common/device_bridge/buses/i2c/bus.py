"""I2C buses: devices by address, uninterrupted exchanges, multiplexers as buses of buses.

I2C-bus specification UM10204 (NXP, rev. 7.0); System Management Bus specification 3.2 for byte, word and block.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, ClassVar, TypeAlias

from msgspec import Meta

from ...errors import DeviceError, DeviceErrorKind
from ...settings.base import Settings
from .adapter import Message
from .errors import I2cRetries
from .owner import WHOLE_BUS, BusOwner, Route, owner_of, part_of, release_owner

I2cAddress: TypeAlias = (
    Annotated[int, Meta(ge=0x08, le=0x77)]
    | Annotated[str, Meta(pattern="^0x(0[89a-fA-F]|[1-6][0-9a-fA-F]|7[0-7])$", examples=["0x76"])]
)
"""Seven bits, 0x08 to 0x77 (UM10204 section 3.1.12 reserves the others): a number, or text, for JSON has no 0x."""

_SCANNED = range(0x08, 0x78)
_UNACKNOWLEDGED = (DeviceErrorKind.NO_ACKNOWLEDGE, DeviceErrorKind.BUS_FAULT)
"""Not every adapter tells the first from the second."""
_NO_RETRIES = I2cRetries(no_acknowledge=0, bus_fault=0)


class I2cSettings(Settings, frozen=True, kw_only=True):
    """Which bus, and how long to wait for it."""

    renamed: ClassVar[Mapping[str, str]] = {
        "timeout_s": "timeout",
        "gap_s": "gap",
        "lock_timeout_s": "lock_timeout",
    }

    path: Annotated[
        str, Meta(min_length=1, max_length=200, description="`/dev/i2c-N`, or `sim:PATH` for an emulated bus")
    ] = "/dev/i2c-1"
    timeout: Annotated[float, Meta(ge=0.01, le=10, description="seconds a transfer may take")] = 0.25
    gap: Annotated[float, Meta(ge=0, le=1, description="minimum seconds between two transfers with a device")] = 0.0
    lock_directory: Annotated[
        str,
        Meta(
            max_length=200,
            description="folder shared by all containers on this bus; without one the device node itself is locked",
        ),
    ] = ""
    lock_timeout: Annotated[
        float, Meta(ge=0.1, le=60, description="seconds to wait for another process's exchange")
    ] = 5.0
    retries: I2cRetries = I2cRetries()


class I2cBus:
    """A bus, or one channel of a multiplexer on it. Everything in a process that uses a path shares its one owner.

    Parameters:
        settings: path and time limits.
    """

    def __init__(self, settings: I2cSettings) -> None:
        self.settings = settings
        self._owner: BusOwner | None = None
        self._root: I2cBus = self
        self._route: Route = ()
        self._held = False

    async def open(self) -> None:
        """Opens the bus. Raises DeviceError."""
        if self._owner is not None:
            return
        settings = self.settings
        owner = owner_of(settings.path, settings.timeout, settings.lock_timeout, settings.lock_directory)
        try:
            await owner.open()
        except BaseException:
            release_owner(owner)
            raise
        self._owner = owner

    async def close(self) -> None:
        """Leaves the bus; the last one to release_owner closes it."""
        owner, self._owner = self._owner, None
        if owner is not None:
            release_owner(owner)

    def device(self, address: I2cAddress, gap_s: float | None = None) -> I2cDevice:
        """A device on this bus; nothing is sent yet.

        Parameters:
            address: seven bits.
            gap_s: minimum time between two transfers with it; by default that of the settings.
        """
        return I2cDevice(self, number_of(address), self.settings.gap if gap_s is None else gap_s)

    def channel(self, mux: I2cAddress, channel: int) -> I2cBus:
        """The bus behind a channel of a TCA9548A or PCA9548A, which is open only while something is sent there.

        Parameters:
            mux: address of the multiplexer, 0x70 to 0x77 mostly.
            channel: 0 to 7.

        Raises ValueError for a channel that cannot be.
        """
        if not 0 <= channel <= 7:
            raise ValueError(f"channel {channel}: a multiplexer has 0 to 7")
        return self._derived((*self._route, (number_of(mux), channel)), self._held)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[I2cBus]:
        """Holds the whole bus within the block, against other tasks and processes; use the bus that it gives.

        Raises DeviceError (busy) when another holds it.
        """
        async with self._opened.holding(WHOLE_BUS):
            yield self._derived(self._route, held=True)

    async def scan(self) -> list[int]:
        """Addresses that acknowledge a read of one byte. Writes nothing.

        A chip whose reads have effects (a FIFO, an interrupt that is cleared by reading) loses one byte's worth.
        """
        found = []
        for address in _SCANNED:
            try:
                await self._derived(self._route, self._held)._probe(address)
            except DeviceError as error:
                if error.kind not in _UNACKNOWLEDGED:
                    raise
            else:
                found.append(address)
        return found

    async def _probe(self, address: int) -> None:
        async with self.hold(address):
            await self.transfer(address, [1], gap_s=0, retries=I2cRetries(no_acknowledge=0))

    def hold(self, address: int) -> AbstractAsyncContextManager[None]:
        """Holds one device within the block. Raises DeviceError (busy) when another holds it."""
        if self._held:
            return contextlib.nullcontext()
        return self._opened.holding(part_of(self._route, address))

    async def transfer(
        self, address: int, messages: Sequence[Message], *, gap_s: float, retries: I2cRetries | None = None
    ) -> list[bytes]:
        """One transfer with a device that the caller holds; what a device's methods are made of.

        Parameters:
            address: seven bits.
            messages: bytes to write, and counts to read.
            gap_s: minimum time since the last transfer with it.
            retries: by default those of the settings.

        Raises DeviceError.
        """
        return await self._opened.transfer(
            self._route, address, messages, gap_s=gap_s, retries=retries or self.settings.retries, whole=self._held
        )

    def counters(self) -> dict[str, int]:
        """What happened on this bus so far, in this process: transfers, retries, errors by kind, waiting, use."""
        owner = self._root._owner
        if owner is None:
            return {}
        counts = {f"i2c_{name}": count for name, count in sorted(owner.counts.items())}
        return counts | {"i2c_busy_us": int(owner.busy_s * 1e6), "i2c_waited_us": int(owner.waited_s * 1e6)}

    def name_of(self, address: int) -> str:
        """A device as people know it: `/dev/i2c-1 0x70.3 0x48`."""
        return self._opened.name(self._route, address)

    @property
    def _opened(self) -> BusOwner:
        owner = self._root._owner
        if owner is None:
            raise DeviceError(DeviceErrorKind.GONE, self.settings.path, "the bus is not open")
        return owner

    def _derived(self, route: Route, held: bool) -> I2cBus:
        bus = I2cBus(self.settings)
        bus._root, bus._route, bus._held = self._root, route, held
        return bus


class I2cDevice:
    """One device; each method is one uninterrupted transfer. Made by `I2cBus.device`.

    All raise DeviceError, with what it probably means.
    """

    def __init__(self, bus: I2cBus, address: int, gap_s: float, *, held: bool = False) -> None:
        self.address = address
        self._bus, self._gap_s, self._held = bus, gap_s, held

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[I2cDevice]:
        """Holds the device within the block, for an exchange of several transfers; use the device that it gives.

        Other devices go on meanwhile. Raises DeviceError (busy) when another task or process holds it.
        """
        if self._held:
            yield self
            return
        async with self._bus.hold(self.address):
            yield I2cDevice(self._bus, self.address, self._gap_s, held=True)

    @property
    def name(self) -> str:
        """As people know it: `/dev/i2c-1 0x70.3 0x48`."""
        return self._bus.name_of(self.address)

    async def write(self, data: bytes) -> None:
        """Writes bytes."""
        await self._transfer(data)

    async def wake(self, data: bytes) -> None:
        """Writes bytes to a device that sleeps and need not acknowledge them; once."""
        try:
            async with self.transaction():
                await self._bus.transfer(self.address, [data], gap_s=self._gap_s, retries=_NO_RETRIES)
        except DeviceError as error:
            if error.kind not in _UNACKNOWLEDGED:
                raise

    async def read(self, count: int) -> bytes:
        """Reads bytes."""
        return (await self._transfer(count))[0]

    async def write_read(self, data: bytes, count: int) -> bytes:
        """Writes bytes, mostly a register's number, and reads after a repeated start."""
        return (await self._transfer(data, count))[0]

    async def read_byte(self, command: int) -> int:
        """SMBus read byte: a register of 8 bits."""
        return (await self.write_read(bytes([command]), 1))[0]

    async def write_byte(self, command: int, value: int) -> None:
        """SMBus write byte."""
        await self.write(bytes([command, value]))

    async def read_word(self, command: int) -> int:
        """SMBus read word: 16 bits, the low byte first."""
        return int.from_bytes(await self.write_read(bytes([command]), 2), "little")

    async def write_word(self, command: int, value: int) -> None:
        """SMBus write word."""
        await self.write(bytes([command]) + value.to_bytes(2, "little"))

    async def read_block(self, command: int) -> bytes:
        """SMBus block read: the device says first how many bytes there are, 32 at most."""
        data = await self.write_read(bytes([command]), 33)
        if not 1 <= data[0] <= 32:
            detail = f"a block of {data[0]} bytes is announced; 1 to 32 are allowed"
            raise self.error(DeviceErrorKind.GARBLED, detail)
        return data[1 : 1 + data[0]]

    async def write_block(self, command: int, data: bytes) -> None:
        """SMBus block write, of 1 to 32 bytes."""
        await self.write(bytes([command, len(data)]) + data)

    def error(self, kind: DeviceErrorKind, detail: str) -> DeviceError:
        """An error that names this device."""
        return DeviceError(kind, self.name, detail)

    async def _transfer(self, *messages: Message) -> list[bytes]:
        async with self.transaction():
            return await self._bus.transfer(self.address, messages, gap_s=self._gap_s)


def number_of(address: I2cAddress) -> int:
    """The address as a number. Raises ValueError for one that cannot be."""
    number = int(address, 16) if isinstance(address, str) else address
    if number not in _SCANNED:
        raise ValueError(f"I2C address {address!r}: 0x08 to 0x77 are possible")
    return number
