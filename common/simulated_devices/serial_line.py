"""A serial line whose device end is in Python: a pseudo-terminal behind a name that stays the same."""

from __future__ import annotations

import asyncio
import os
import socket
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

_READ_SIZE = 65_536


class SimulatedSerialLine:
    """The device's end of a serial line; the service opens `path` as it would open /dev/ttyUSB0.

    Use it as a context manager. The service's end is a real tty of the kernel, in raw mode, with a buffer of about
    16 KiB; what is in it outlives the service's closing the port.
    What it cannot have: parity and framing errors, modem lines, and a speed (bytes arrive at once).

    Parameters:
        path: the name to make; a link that follows the terminal through `unplug` and `replug`.

    Entering raises FileExistsError when `path` is something else than a link, which is then left alone. Sending and
    receiving raise ConnectionError while the line is unplugged, also when already waiting; one task may send and one
    receive at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._device = -1
        self._held = -1
        self._waiting: dict[asyncio.Future[None], Callable[[int], object]] = {}

    def __enter__(self) -> SimulatedSerialLine:
        self.replug()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()

    def replug(self) -> None:
        """Makes the line, under the same name; the kernel's own name may differ."""
        if self._device >= 0:
            return
        if self.path.exists() and not self.path.is_symlink():
            raise FileExistsError(f"{self.path} exists and is not a link")
        self._device, self._held = self._made()
        try:
            os.set_blocking(self._device, False)
            self._name()
        except OSError:
            self._close()
            raise

    def _made(self) -> tuple[int, int]:
        """The device's end, and the service's, held open: without a reader the kernel discards what is written."""
        return os.openpty()

    def _name(self) -> None:
        tty.setraw(self._held)
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._held))
        fresh.replace(self.path)

    def unplug(self) -> None:
        """Removes the line: a service that has it open gets a hang-up, and its name is gone."""
        if self._device < 0:
            return
        self.path.unlink(missing_ok=True)
        # The loop must remove the descriptor while it is still open: a later one may get the same number.
        for ready, forget in self._waiting.items():
            forget(self._device)
            if not ready.done():
                ready.set_exception(self._unplugged())
        self._waiting.clear()
        self._close()

    def rename(self, path: Path) -> None:
        """Gives an unplugged line another name for its return. Raises ConnectionError when plugged in."""
        if self._device >= 0:
            raise ConnectionError(f"{self.path} is plugged in; unplug it before renaming it")
        self.path = path

    def write(self, data: bytes | memoryview) -> int:
        """Sends what the line takes now and returns how many bytes that were."""
        try:
            return os.write(self._plugged(), data)
        except BlockingIOError:
            return 0

    async def send(self, data: bytes) -> None:
        """Sends all of it, waiting while the service does not read."""
        left = memoryview(data)
        while left := left[self.write(left) :]:
            loop = asyncio.get_running_loop()
            await self._ready(loop.add_writer, loop.remove_writer)

    def read(self) -> bytes:
        """What the service has written so far; may be empty."""
        try:
            return os.read(self._plugged(), _READ_SIZE)
        except BlockingIOError:
            return b""

    async def receive(self) -> bytes:
        """What the service has written, at least one byte."""
        while not (data := self.read()):
            loop = asyncio.get_running_loop()
            await self._ready(loop.add_reader, loop.remove_reader)
        return data

    async def _ready(
        self, watch: Callable[[int, Callable[[], Any]], object], forget: Callable[[int], object]
    ) -> None:
        ready = asyncio.get_running_loop().create_future()
        watch(self._plugged(), lambda: None if ready.done() else ready.set_result(None))
        self._waiting[ready] = forget
        try:
            await ready
        finally:
            if self._waiting.pop(ready, None):
                forget(self._device)

    def _plugged(self) -> int:
        if self._device < 0:
            raise self._unplugged()
        return self._device

    def _unplugged(self) -> ConnectionError:
        return ConnectionError(f"{self.path} is unplugged")

    def _close(self) -> None:
        os.close(self._held)
        os.close(self._device)
        self._device = self._held = -1


class InProcessSerialLine(SimulatedSerialLine):
    """A line to a service in this process: bytes are there as soon as they are sent, on whatever clock the loop has.

    `device_bridge.buses.attached(line.path, line)` lets the service open it as `sim:` and its path.
    """

    def open_service_end(self) -> int:
        """A new descriptor of the service's end. Raises FileNotFoundError while the line is unplugged."""
        if self._held < 0:
            raise FileNotFoundError(self.path)
        end = os.dup(self._held)
        os.set_blocking(end, False)
        return end

    def _made(self) -> tuple[int, int]:
        ours, theirs = socket.socketpair()
        return ours.detach(), theirs.detach()

    def _name(self) -> None:
        """It has none in the file system."""
