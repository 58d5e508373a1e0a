"""The one owner of an I2C bus in this process: its worker, its locks, retries, and what went wrong in words."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TypeVar

from ...clocks import monotonic
from ...errors import DeviceError, DeviceErrorKind
from ..in_process import SIMULATED, attached_at
from ..workers import Job, Worker
from .adapter import I2cAdapter, Message, open_adapter
from .errors import FAULTS, OPEN_FAULTS, I2cRetries
from .locks import FileLock, Part, TaskLock

T = TypeVar("T")
Route = tuple[tuple[int, int], ...]
"""Multiplexers on the way to a device, each with its address and channel, the nearest first."""

_MUX_PART = Part(1 << 60, (1 << 60) + 1)
"""Held while a multiplexer's channel is selected, so that no other is selected meanwhile."""
WHOLE_BUS = Part(0, 1 << 61)
_GRACE_S = 1.0
_LONGEST_LOCK_POLL_S = 0.01


class BusOwner:
    """One bus, for everything in this process that uses it.

    Parameters:
        path: `/dev/i2c-N`, or `sim:` and the socket of an emulated bus.
        timeout_s: the most that a transfer may take.
        lock_timeout_s: the most to wait for another process.
        lock_file: what is locked among processes; None for nothing.
    """

    def __init__(self, path: str, timeout_s: float, lock_timeout_s: float, lock_file: str | None) -> None:
        self.path = path
        self.users = 0
        self.counts: Counter[str] = Counter()
        self._timeout_s, self._lock_timeout_s, self._lock_file = timeout_s, lock_timeout_s, lock_file
        self._worker = Worker(path, f"i2c {path}" if attached_at(path) is None else "")
        self._turn = asyncio.Lock()
        self._tasks = TaskLock()
        self._adapter: I2cAdapter | None = None
        self._lock: FileLock | None = None
        self._idle_since: dict[int, float] = {}
        self.busy_s = self.waited_s = 0.0

    async def open(self) -> None:
        """Opens the bus, if it is not open. Raises DeviceError."""
        async with self._turn:
            if self._adapter is None:
                try:
                    self._adapter, self._lock = await self._call(self._open)
                except DeviceError:
                    raise
                except OSError as error:
                    raise DeviceError.from_os(error, self.path, OPEN_FAULTS) from None

    def close(self) -> None:
        """Closes it, after the transfer that is under way."""

        def close() -> None:
            if self._adapter is not None:
                self._adapter.close()
            if self._lock is not None:
                self._lock.close()

        self._worker.end(close)

    async def _open(self) -> tuple[I2cAdapter, FileLock | None]:
        adapter = open_adapter(self.path, self._timeout_s)
        if self._lock_file is None:
            return adapter, None
        try:
            return adapter, FileLock(self._lock_file, make=self._lock_file != self.path)
        except OSError as error:
            adapter.close()
            kind = DeviceErrorKind.PERMISSION if isinstance(error, PermissionError) else DeviceErrorKind.NOT_FOUND
            detail = f"it cannot be locked: {error.strerror}; bus.lock_directory has to be a folder to write in"
            raise DeviceError(kind, self._lock_file, detail) from None

    @contextlib.asynccontextmanager
    async def holding(self, part: Part) -> AsyncIterator[None]:
        """Holds a part of the bus within the block. Raises DeviceError (busy) when another holds it."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            async with asyncio.timeout(self._lock_timeout_s):
                await self._tasks.acquire(part)
        except TimeoutError:
            raise self._busy("a task of this service") from None
        try:
            await self._acquire_file(part)
        except BaseException:
            self._tasks.release(part)
            raise
        self.waited_s += loop.time() - start
        try:
            yield
        finally:
            if (abandoned := self._worker.abandoned) is not None:
                abandoned.add_done_callback(lambda _: self._release(part))  # it is still on the wires
            else:
                self._release(part)

    def _release(self, part: Part) -> None:
        if self._lock is not None:
            self._lock.release(part)
        self._tasks.release(part)

    def _busy(self, by: str) -> DeviceError:
        return DeviceError(DeviceErrorKind.BUSY, self.path, f"{by} keeps it for more than {self._lock_timeout_s:g} s")

    async def _acquire_file(self, part: Part) -> None:
        lock = self._lock
        if lock is None or lock.acquire(part):
            return
        self.counts["lock_waits"] += 1
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._lock_timeout_s
        pause_s = 0.0005
        while not lock.acquire(part):
            if loop.time() > deadline:
                raise self._busy("another process")
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - not for secrets
            pause_s = min(pause_s * 2, _LONGEST_LOCK_POLL_S)

    async def transfer(
        self,
        route: Route,
        address: int,
        messages: Sequence[Message],
        *,
        gap_s: float,
        retries: I2cRetries,
        whole: bool = False,
    ) -> list[bytes]:
        """One transfer, tried again where that may help. The caller holds the device's part.

        Parameters:
            route: multiplexers before the device.
            address: of the device, 7 bits.
            messages: bytes to write and counts to read.
            gap_s: least time since the device's last transfer.
            retries: by kind of error.
            whole: whether the caller holds the whole bus.

        Raises DeviceError.
        """
        attempts = 0
        while True:
            try:
                return await self._transfer(route, address, messages, gap_s, whole)
            except DeviceError as error:
                failed = error
            except OSError as error:
                failed = DeviceError.from_os(error, self.name(route, address), FAULTS)
            self.counts[failed.kind.name.lower()] += 1
            if attempts >= retries.of(failed.kind):
                raise failed
            attempts += 1
            self.counts["retries"] += 1
            await asyncio.sleep(max(gap_s, 0.001) * 2**attempts)

    async def _transfer(
        self, route: Route, address: int, messages: Sequence[Message], gap_s: float, whole: bool
    ) -> list[bytes]:
        loop, device = asyncio.get_running_loop(), part_of(route, address).start
        if gap_s and (rest_s := self._idle_since.get(device, -gap_s) + gap_s - loop.time()) > 0:
            await asyncio.sleep(rest_s)
        self.counts["transfers"] += 1
        selecting = self.holding(_MUX_PART) if route and not whole else contextlib.nullcontext()
        try:
            async with selecting, self._turn:
                if route:
                    return await self._call(lambda: self._routed(route, address, messages))
                return await self._call(lambda: self._timed(address, messages))
        finally:
            if gap_s:
                self._idle_since[device] = loop.time()

    async def _timed(self, address: int, messages: Sequence[Message]) -> list[bytes]:
        if self._adapter is None:
            raise OSError(errno.ENODEV, "closed")
        start = monotonic()
        try:
            return await self._adapter.transfer(address, messages)
        finally:
            self.busy_s += monotonic() - start

    async def _routed(self, route: Route, address: int, messages: Sequence[Message]) -> list[bytes]:
        for mux, channel in route:
            await self._timed(mux, [bytes([1 << channel])])
        try:
            return await self._timed(address, messages)
        finally:
            # No channel stays open: the same address may be in use behind another multiplexer.
            for mux, _ in reversed(route):
                try:
                    await self._timed(mux, [b"\0"])
                except OSError:
                    self.counts["mux_faults"] += 1

    async def _call(self, job: Job[T]) -> T:
        """Has the worker do it. Raises DeviceError (timeout) when it does not return in time."""
        return await self._worker.call(job, self._timeout_s * 4 + _GRACE_S, self._timeout_s)

    def name(self, route: Route, address: int) -> str:
        """A device as people know it: `/dev/i2c-1 0x70.3 0x48`."""
        return " ".join([self.path, *(f"0x{mux:02x}.{channel}" for mux, channel in route), f"0x{address:02x}"])


def part_of(route: Route, address: int) -> Part:
    """The part of the bus that is one device."""
    number = 0
    for mux, channel in route:
        number = number << 10 | (mux & 0x7F) << 3 | channel
        number += 1
    start = number << 7 | address  # two multiplexers deep fit below _MUX_PART by far
    return Part(start, start + 1)


_owners: dict[str, BusOwner] = {}


def owner_of(path: str, timeout_s: float, lock_timeout_s: float, lock_directory: str) -> BusOwner:
    """The owner of a bus; the first user of a path decides the times and the lock."""
    key = path if path.startswith(SIMULATED) else str(Path(path).resolve())
    owner = _owners.get(key)
    if owner is None:
        name = Path(path.removeprefix(SIMULATED)).name
        if lock_directory:
            lock_file = str(Path(lock_directory) / f"{name}.lock")
        else:
            lock_file = f"{path.removeprefix(SIMULATED)}.lock" if path.startswith(SIMULATED) else path
        owner = _owners[key] = BusOwner(path, timeout_s, lock_timeout_s, lock_file)
    owner.users += 1
    return owner


def release_owner(owner: BusOwner) -> None:
    """Ends a use; the last one closes the bus."""
    owner.users -= 1
    if not owner.users:
        for key in [key for key, known in _owners.items() if known is owner]:
            del _owners[key]
        owner.close()
