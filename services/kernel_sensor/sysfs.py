"""The kernel's files: those of this machine, or an emulated tree in this process or behind a UNIX socket.

Reading a file of sysfs runs the driver, for as long as the device takes: it is done by a worker, never by the loop.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from device_bridge import DeviceError, DeviceErrorKind
from device_bridge.buses import Worker, attached_at

from .protocol.model import PAGE, Content

T = TypeVar("T")
SIMULATED = "sim:"
_MOST_ENTRIES = 2000
_PATIENCE_S = 0.2
_PAUSES_S = (0.02, 0.1, 0.3)
"""Before a file without a value is asked again."""
_MAX_ANSWER = 1 << 20


class Files(Protocol):
    """The tree below /sys; paths are without it. Blocks instead of awaiting, unless it is in this process."""

    async def entries(self, path: str) -> list[str]:
        """The names in a folder. Raises OSError."""

    async def real(self, path: str) -> str:
        """The path without links. Raises OSError for what is not there, and for what is outside."""

    async def read(self, path: str) -> str:
        """What a file holds. Raises OSError."""

    async def write(self, path: str, text: str) -> None:
        """Writes to a file that is there. Raises OSError."""


class KernelFiles:
    """Those of a folder.

    Parameters:
        root: `/sys`, or where it is bound.
    """

    def __init__(self, root: str) -> None:
        self._root = Path(root).resolve()

    async def entries(self, path: str) -> list[str]:
        """The names, up to a limit."""
        found = []
        with os.scandir(self._root / path) as entries:
            for entry in entries:
                found.append(entry.name)
                if len(found) == _MOST_ENTRIES:
                    break
        return found

    async def real(self, path: str) -> str:
        """Links in a circle and links that lead out of the folder are errors."""
        try:
            real = (self._root / path).resolve(strict=True)
        except RuntimeError:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        if not real.is_relative_to(self._root):
            raise OSError(errno.EXDEV, "a link leads out of the folder")
        return str(real.relative_to(self._root))

    async def read(self, path: str) -> str:
        """By one call, as a driver answers; a file that is longer than a page holds no value."""
        fd = os.open(self._root / path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            data = os.read(fd, PAGE + 1)
        finally:
            os.close(fd)
        if len(data) > PAGE:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG)) from None

    async def write(self, path: str, text: str) -> None:
        """By one call."""
        fd = os.open(self._root / path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


class EmulatedFiles:
    """Those of an emulated tree.

    Parameters:
        ask: gives what a verb gives, or an error number.
    """

    def __init__(self, ask: Callable[[str, str, str], Awaitable[Any]]) -> None:
        self._ask = ask

    async def entries(self, path: str) -> list[str]:
        """Asks for them."""
        return msgspec.convert(await self._answer("entries", path), list[str])

    async def real(self, path: str) -> str:
        """Asks for it."""
        return msgspec.convert(await self._answer("real", path), str)

    async def read(self, path: str) -> str:
        """Asks for it."""
        return msgspec.convert(await self._answer("read", path), str)

    async def write(self, path: str, text: str) -> None:
        """Asks for it."""
        await self._answer("write", path, text)

    async def _answer(self, verb: str, path: str, text: str = "") -> Any:
        answer = await self._ask(verb, path, text)
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer


def asked_by_socket(path: str, timeout_s: float) -> Callable[[str, str, str], Awaitable[Any]]:
    """A tree in another process.

    The socket carries msgpack, each message after its length in four bytes: `[verb, path, text]`, and what it gives.
    Each question has a connection of its own, so that none waits for another.
    """

    async def ask(verb: str, file: str, text: str) -> Any:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
            connected.settimeout(timeout_s)
            connected.connect(path)
            data = msgspec.msgpack.encode([verb, file, text])
            connected.sendall(len(data).to_bytes(4, "big") + data)
            with connected.makefile("rb") as stream:
                length = int.from_bytes(stream.read(4), "big")
                if not 0 < length <= _MAX_ANSWER:
                    raise OSError(errno.ECONNRESET, "the emulator has closed the connection")
                return msgspec.msgpack.decode(stream.read(length))

    return ask


class Lane:
    """Does what concerns one device, or one wire: what it waits for, others do not wait for.

    Parameters:
        files: where.
        name: of the device or wire.
        timeout_s: the most that a file may take.
        counts: of the bus.
        in_process: whether the files are those of a tree in this process.
    """

    def __init__(self, files: Files, name: str, timeout_s: float, counts: Counter[str], *, in_process: bool) -> None:
        self._files, self._name, self._timeout_s, self._counts = files, name, timeout_s, counts
        self._worker = Worker(name, "" if in_process else f"sysfs {name}"[:60])

    async def call(self, work: Callable[[Files], Coroutine[Any, Any, T]]) -> T:
        """What some work with the files gives. Raises what it raises, and DeviceError (timeout)."""
        return await self._worker.call(lambda: work(self._files), self._timeout_s, _PATIENCE_S)

    async def read(self, folder: str, names: Iterable[str]) -> dict[str, Content]:
        """What files of a folder hold, one after another; those that have no value yet (EAGAIN) are asked again."""
        contents: dict[str, Content] = {}
        wanted = list(dict.fromkeys(names))
        for pause_s in (0.0, *_PAUSES_S):
            if pause_s:
                await asyncio.sleep(pause_s)
                self._counts["retries"] += len(wanted)
            for name in wanted:
                contents[name] = await self.call(partial(_content, path=f"{folder}/{name}"))
            self._counts["reads"] += len(wanted)
            wanted = [name for name in wanted if contents[name] == errno.EAGAIN]
            if not wanted:
                break
        self._counts["errors"] += sum(isinstance(content, int) for content in contents.values())
        return contents

    async def write(self, path: str, text: str) -> int:
        """Writes; 0, or the number of the error."""

        async def write(files: Files) -> int:
            try:
                await files.write(path, text)
            except OSError as error:
                return error.errno or errno.EIO
            return 0

        return await self.call(write)

    def end(self) -> None:
        """Ends after what is under way."""
        self._worker.end()


async def _content(files: Files, path: str) -> Content:
    try:
        return await files.read(path)
    except OSError as error:
        return error.errno or errno.EIO


class Sysfs:
    """The bus: the tree, and a lane for each device.

    Parameters:
        path: `/sys`, where it is bound, or `sim:PATH` for an emulated tree.
        timeout_s: the most that a file may take.
    """

    def __init__(self, path: str, timeout_s: float) -> None:
        self._path, self._timeout_s = path, timeout_s
        self._in_process = False
        self._files: Files | None = None
        self._lanes: dict[str, Lane] = {}
        self.counts: Counter[str] = Counter(reads=0, retries=0, errors=0)

    async def open(self) -> None:
        """Raises DeviceError where there is no such tree."""
        tree = attached_at(self._path)
        self._in_process = tree is not None
        if tree is not None:
            self._files = EmulatedFiles(tree.answer)
        elif self._path.startswith(SIMULATED):
            self._files = EmulatedFiles(asked_by_socket(self._path.removeprefix(SIMULATED), self._timeout_s))
        else:
            self._files = KernelFiles(self._path)
        try:
            entries = await self.lane("tree").call(lambda files: files.entries(""))
        except OSError as error:
            detail = f"{error.strerror}; bind /sys of the node there, read-only"
            raise DeviceError(DeviceErrorKind.NOT_FOUND, self._path, detail) from None
        if not {"class", "bus"} & set(entries):
            detail = "neither class nor bus is in it: this is not sysfs"
            raise DeviceError(DeviceErrorKind.NOT_FOUND, self._path, detail)

    async def close(self) -> None:
        """Ends all lanes."""
        for lane in self._lanes.values():
            lane.end()
        self._lanes.clear()

    def lane(self, name: str) -> Lane:
        """Of a device or wire, made when it is first asked for."""
        assert self._files is not None, "not open"  # noqa: S101 - misuse by a programmer
        if name not in self._lanes:
            self._lanes[name] = Lane(self._files, name, self._timeout_s, self.counts, in_process=self._in_process)
        return self._lanes[name]

    def counters(self) -> dict[str, int]:
        """`sysfs_reads`, `sysfs_retries`, `sysfs_errors`."""
        return {f"sysfs_{name}": count for name, count in self.counts.items()}
