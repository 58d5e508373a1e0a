"""Ways to an I2C bus: the kernel's i2c-dev through smbus2, an emulated bus behind a UNIX socket, one in this process.

I2C-bus specification UM10204 (NXP, rev. 7.0) for the bus; the kernel's Documentation/i2c/ (dev-interface.rst,
fault-codes.rst) for what i2c-dev answers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec

from ..in_process import SIMULATED, attached_at

Message: TypeAlias = "bytes | int"
"""Bytes to write, or how many to read. Several make one transfer, with repeated starts between them."""

MAX_MESSAGE_BYTES = 8192
"""The most that i2c-dev takes in one message."""

_I2C_TIMEOUT = 0x0702
_I2C_FUNCS = 0x0705
_FUNC_I2C = 0x1
_SMBUS_BLOCK = 32
_MAX_ANSWER = 1 << 20
_GRACE_S = 0.2


class I2cAdapter(Protocol):
    """One bus, used by one thread, or by one task on the event loop."""

    async def transfer(self, address: int, messages: Sequence[Message]) -> list[bytes]:
        """Does one transfer and returns what each read gave. Raises OSError with the kernel's fault codes.

        Blocks instead of awaiting, unless the bus is in this process: see `run_blocking` of `buses.workers`.
        """

    def close(self) -> None:
        """Gives it back."""


class KernelAdapter:
    """An adapter of the kernel: `/dev/i2c-N`.

    Parameters:
        path: of the device node.
        timeout_s: how long the kernel waits for a transfer, in steps of 10 ms; for everybody on this adapter.

    Raises OSError when it cannot be opened.
    """

    def __init__(self, path: str, timeout_s: float) -> None:
        from smbus2 import SMBus  # noqa: PLC0415 - a megabyte that an emulated bus does not need

        self._bus = SMBus(path)
        node: int = self._bus.fd  # type: ignore[assignment]  # it is open
        try:
            fcntl.ioctl(node, _I2C_TIMEOUT, max(1, round(timeout_s * 100)))
            functions = bytearray(8)
            fcntl.ioctl(node, _I2C_FUNCS, functions)
        except OSError:
            self._bus.close()
            raise
        self._transfer = self._plain if int.from_bytes(functions, "little") & _FUNC_I2C else self._smbus

    async def transfer(self, address: int, messages: Sequence[Message]) -> list[bytes]:
        """Does one transfer."""
        return self._transfer(address, messages)

    def close(self) -> None:
        """Closes the device node."""
        self._bus.close()

    def _plain(self, address: int, messages: Sequence[Message]) -> list[bytes]:
        from smbus2 import i2c_msg  # noqa: PLC0415

        sent = [
            i2c_msg.read(address, message) if isinstance(message, int) else i2c_msg.write(address, message)
            for message in messages
        ]
        self._bus.i2c_rdwr(*sent)
        return [bytes(message) for message, asked in zip(sent, messages, strict=True) if isinstance(asked, int)]

    def _smbus(self, address: int, messages: Sequence[Message]) -> list[bytes]:
        """The same on an adapter that knows only SMBus transfers (PIIX4, i2c-stub), where there is one for it."""
        bus = self._bus
        match list(messages):
            case [bytes(data)] if len(data) == 1:
                bus.write_byte(address, data[0])
                return []
            case [bytes(data)] if len(data) == 2:
                bus.write_byte_data(address, data[0], data[1])
                return []
            case [bytes(data)] if 2 < len(data) <= 1 + _SMBUS_BLOCK:
                bus.write_i2c_block_data(address, data[0], data[1:])
                return []
            case [1]:
                return [bytes([bus.read_byte(address)])]
            case [bytes(data), 1] if len(data) == 1:
                return [bytes([bus.read_byte_data(address, data[0])])]
            case [bytes(data), 2] if len(data) == 1:
                return [bus.read_word_data(address, data[0]).to_bytes(2, "little")]
            case [bytes(data), int(count)] if len(data) == 1 and count <= _SMBUS_BLOCK:
                return [bytes(bus.read_i2c_block_data(address, data[0], count))]
        raise OSError(errno.EOPNOTSUPP, "this adapter knows only SMBus transfers, and none is like this one")


class SimulatedAdapter:
    """An emulated bus in this or another process.

    The socket carries msgpack, each message after its length in four bytes: `[address, [message, ...], timeout]`,
    answered by the list of what was read, or by an error number.

    Parameters:
        path: of the UNIX socket.
        timeout_s: how long a transfer may take.

    Raises OSError when nothing listens there.
    """

    def __init__(self, path: str, timeout_s: float) -> None:
        self._path, self._timeout_s = path, timeout_s
        self._socket: socket.socket | None = None
        self._connect()

    async def transfer(self, address: int, messages: Sequence[Message]) -> list[bytes]:
        """Does one transfer."""
        data = msgspec.msgpack.encode([address, messages, self._timeout_s])
        try:
            connected = self._socket or self._connect()
            connected.sendall(len(data).to_bytes(4, "big") + data)
            length = int.from_bytes(self._receive(connected, 4), "big")
            if length > _MAX_ANSWER:
                raise ConnectionResetError(errno.ECONNRESET, f"an answer of {length} bytes")
            answer = msgspec.msgpack.decode(self._receive(connected, length), type=list[bytes] | int)
        except TimeoutError:
            self.close()  # a late answer must not be taken for the next one's
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None
        except OSError as error:
            self.close()
            raise OSError(errno.ENODEV, f"the emulated bus went away: {error}") from None
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(self._timeout_s * 2 + _GRACE_S)  # the bus itself gives a stuck chip up
            connected.connect(self._path)
        except OSError:
            connected.close()
            raise
        self._socket = connected
        return connected

    @staticmethod
    def _receive(connected: socket.socket, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = connected.recv(count - len(data))
            if not piece:
                raise ConnectionResetError(errno.ECONNRESET, "closed")
            data += piece
        return data


class InProcessBus(Protocol):
    """An emulated bus on the event loop of the service that uses it."""

    disconnects: int
    """How often everybody's connection was dropped so far."""

    async def answer(self, address: int, messages: Sequence[Message], timeout_s: float) -> list[bytes] | int:
        """What was read, or an error number."""


class InProcessAdapter:
    """An emulated bus in this process: no socket and no thread, so that everything keeps to the event loop's clock.

    Parameters:
        bus: that answers.
        timeout_s: how long a transfer may take.
    """

    def __init__(self, bus: InProcessBus, timeout_s: float) -> None:
        self._bus, self._timeout_s = bus, timeout_s
        self._disconnects = bus.disconnects

    async def transfer(self, address: int, messages: Sequence[Message]) -> list[bytes]:
        """Does one transfer."""
        if self._disconnects != self._bus.disconnects:
            self._disconnects = self._bus.disconnects
            raise OSError(errno.ENODEV, "the emulated bus went away: disconnected")
        answer = await self._bus.answer(address, messages, self._timeout_s)
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer

    def close(self) -> None:
        """Holds nothing."""


def open_adapter(path: str, timeout_s: float) -> I2cAdapter:
    """The bus at a path. Raises OSError."""
    if (bus := attached_at(path)) is not None:
        return InProcessAdapter(bus, timeout_s)
    if path.startswith(SIMULATED):
        return SimulatedAdapter(path.removeprefix(SIMULATED), timeout_s)
    return KernelAdapter(path, timeout_s)
