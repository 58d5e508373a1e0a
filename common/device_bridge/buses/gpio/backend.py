"""Ways to GPIO chips: the kernel's character devices, or emulated chips behind a UNIX socket."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from . import uapi
from .address import Chip
from .uapi import LineConfig

SIMULATED = "sim:"
"""A path that begins so is the UNIX socket of emulated chips."""

_LONGEST_ANSWER_S = 10.0
_MAX_ANSWER = 1 << 20


class LineRequest(Protocol):
    """Lines that are in use."""

    event_fd: int
    """Where events come from, each as `struct gpio_v2_line_event`; does not block."""

    async def get(self) -> int:
        """The values, a bit each."""

    async def set(self, mask: int, bits: int) -> None:
        """Sets the outputs of the mask."""

    def set_act(self, mask: int, bits: int) -> tuple[int, int, bytes, bytes]:
        """How another holder of the lines sets them: file descriptor, ioctl (0: write), bytes, what is answered."""

    async def close(self) -> None:
        """Gives the lines back."""


class KernelLines:
    """Lines of a kernel's chip.

    Parameters:
        fd: that the kernel gave for them.
        count: of lines.
    """

    def __init__(self, fd: int, count: int) -> None:
        self.event_fd, self._mask = fd, (1 << count) - 1
        os.set_blocking(fd, False)

    async def get(self) -> int:
        """Asks the kernel; takes microseconds."""
        values = uapi.pack_values(self._mask, 0)
        fcntl.ioctl(self.event_fd, uapi.GET_VALUES, values)
        return uapi.unpack_values(values)

    async def set(self, mask: int, bits: int) -> None:
        """Tells the kernel; takes microseconds."""
        fcntl.ioctl(self.event_fd, uapi.SET_VALUES, uapi.pack_values(mask, bits))

    def set_act(self, mask: int, bits: int) -> tuple[int, int, bytes, bytes]:
        """The same ioctl."""
        return self.event_fd, uapi.SET_VALUES, bytes(uapi.pack_values(mask, bits)), b""

    async def close(self) -> None:
        """Closes the file descriptor, and with it the lines."""
        os.close(self.event_fd)


class KernelChips:
    """The chips of this machine.

    Parameters:
        folder: where their device nodes are.
    """

    def __init__(self, folder: str = "/dev") -> None:
        self._folder = Path(folder)

    async def chips(self) -> list[Chip]:
        """All that can be opened. Raises OSError when there are some and none can be."""
        found, failed = [], None
        for node, *others in same_devices(self._folder.glob("gpiochip*")):
            try:
                found.append(_describe(str(node))._replace(aliases=tuple(str(other) for other in others)))
            except OSError as error:
                failed = error
        if failed is not None and not found:
            raise failed
        return found

    async def request(self, chip: Chip, offsets: tuple[int, ...], config: LineConfig, events: int) -> LineRequest:
        """Takes lines into use. Raises OSError: EBUSY for lines in use, EINVAL for what the chip cannot do."""
        request = uapi.pack_request(offsets, _consumer(), config, events)
        fd = os.open(chip.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, uapi.GET_LINE, request)
        finally:
            os.close(fd)
        return KernelLines(uapi.unpack_request(request), len(offsets))

    async def user_of(self, chip: Chip, offset: int) -> str:
        """Who uses a line, "" if unknown."""
        fd = os.open(chip.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            info = uapi.pack_line(offset)
            fcntl.ioctl(fd, uapi.GET_LINEINFO, info)
            return uapi.unpack_line(info).consumer
        finally:
            os.close(fd)


def same_devices(nodes: Iterable[Path]) -> list[list[Path]]:
    """Device nodes and links by what they open: those of one device together, the device's own node first."""
    devices: dict[int, list[Path]] = {}
    for node in sorted(nodes, key=lambda node: (node.is_symlink(), len(node.name), node.name)):
        with contextlib.suppress(OSError):  # a link to nowhere
            status = node.stat()
            is_device = stat.S_ISCHR(status.st_mode)
            devices.setdefault(status.st_rdev if is_device else -status.st_ino, []).append(node)
    return list(devices.values())


def _describe(path: str) -> Chip:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        info = bytearray(68)
        fcntl.ioctl(fd, uapi.GET_CHIPINFO, info)
        name, label, count = uapi.unpack_chip(info)
        lines = []
        for offset in range(count):
            line = uapi.pack_line(offset)
            fcntl.ioctl(fd, uapi.GET_LINEINFO, line)
            lines.append(uapi.unpack_line(line).name)
        return Chip(path, name, label, tuple(lines))
    finally:
        os.close(fd)


class SimulatedLines:
    """Lines of an emulated chip: one connection for what is asked and set, one for events.

    Parameters:
        connection: the first one, on which the request was made.
        event_socket: the second one.
    """

    def __init__(self, connection: _Connection, event_socket: socket.socket) -> None:
        self._connection, self._events = connection, event_socket
        self.event_fd = event_socket.fileno()

    async def get(self) -> int:
        """Asks."""
        values: int = await self._connection.ask("get")
        return values

    async def set(self, mask: int, bits: int) -> None:
        """Tells."""
        await self._connection.ask("set", mask, bits)

    def set_act(self, mask: int, bits: int) -> tuple[int, int, bytes, bytes]:
        """The same message, with a mark by which its answer is known among those that nobody has read."""
        mark = f"{mask}={bits}"
        return self._connection.fileno, 0, frame(["set", mask, bits, mark]), frame([0, mark])

    async def close(self) -> None:
        """Closes both connections."""
        self._events.close()
        await self._connection.close()


class SimulatedChips:
    """The chips behind a socket.

    The socket carries msgpack, each message after its length in four bytes: `[verb, argument, …]`, answered by
    `[error number, result]`.

    Parameters:
        path: of the socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    async def chips(self) -> list[Chip]:
        """All of them. Raises OSError when nothing listens there."""
        connection = await _Connection.to(self._path)
        try:
            chips = await connection.ask("chips")
            return [Chip(f"{SIMULATED}{self._path}", name, label, tuple(lines)) for name, label, lines in chips]
        finally:
            await connection.close()

    async def request(self, chip: Chip, offsets: tuple[int, ...], config: LineConfig, events: int) -> LineRequest:
        """Takes lines into use. Raises OSError, as the kernel would."""
        connection = await _Connection.to(self._path)
        event_socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            number = await connection.ask("request", chip.name, offsets, config._asdict(), events, _consumer())
            event_socket.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(event_socket, self._path)
            await loop.sock_sendall(event_socket, frame(["events", number]))
        except BaseException:
            event_socket.close()
            await connection.close()
            raise
        return SimulatedLines(connection, event_socket)

    async def user_of(self, chip: Chip, offset: int) -> str:
        """Who uses a line, "" if it is free."""
        connection = await _Connection.to(self._path)
        try:
            user: str = await connection.ask("user", chip.name, offset)
            return user
        finally:
            await connection.close()


class _Connection:
    """Questions and answers, one after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._turn = asyncio.Lock()
        self.fileno: int = writer.get_extra_info("socket").fileno()

    @classmethod
    async def to(cls, path: str) -> _Connection:
        """A new connection. Raises OSError."""
        return cls(*await asyncio.open_unix_connection(path))

    async def ask(self, *message: object) -> Any:
        """The answer. Cancelling it leaves the exchange to end by itself: its answer is not the next one's.

        Raises OSError with the number that came, or ENODEV when the other side is gone.
        """
        await self._turn.acquire()
        exchange = asyncio.ensure_future(self._exchange(message))
        exchange.add_done_callback(self._ended)
        code, result = await asyncio.shield(exchange)
        if code:
            raise OSError(code, os.strerror(code))
        return result

    async def _exchange(self, message: object) -> Any:
        try:
            async with asyncio.timeout(_LONGEST_ANSWER_S):
                self._writer.write(frame(message))
                length = int.from_bytes(await self._reader.readexactly(4), "big")
                if length > _MAX_ANSWER:
                    raise ConnectionResetError(errno.ECONNRESET, f"an answer of {length} bytes")
                return msgspec.msgpack.decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
            self._writer.close()  # what may come later answers nothing that is asked from now on
            raise OSError(errno.ENODEV, f"the emulated chip went away: {error}") from None

    def _ended(self, exchange: asyncio.Future[Any]) -> None:
        self._turn.release()
        if not exchange.cancelled():
            exchange.exception()  # who asked may have left

    async def close(self) -> None:
        """Closes it."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


def frame(message: object) -> bytes:
    """A message with its length before it."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(4, "big") + data


def _consumer() -> str:
    """What `gpioinfo` shows as the user of a line."""
    return f"iofog-{os.getpid()}"


def backend_of(path: str) -> KernelChips | SimulatedChips:
    """The way to the chips at a path: a folder of device nodes, or `sim:` and a socket."""
    if path.startswith(SIMULATED):
        return SimulatedChips(path.removeprefix(SIMULATED))
    return KernelChips(path)
