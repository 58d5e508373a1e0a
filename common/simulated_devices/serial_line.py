"""A serial line with our end of it in Python: a pseudo-terminal behind a name that stays the same."""

from __future__ import annotations

import asyncio
import os
import tty
from pathlib import Path
from types import TracebackType

_READ_SIZE = 65_536


class SimulatedSerialLine:
    """The device's end of a serial line; the service opens `path` as it would open /dev/ttyUSB0.

    Use it as a context manager. The service's end is a real tty of the kernel, in raw mode, with a buffer of 4 KiB.
    What it cannot have: parity and framing errors, modem lines, and a speed (bytes arrive at once).

    Parameters:
        path: the name to make; a link that follows the terminal through `unplug` and `replug`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._device = -1
        self._held = -1

    def __enter__(self) -> SimulatedSerialLine:
        self.replug()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()

    def replug(self) -> None:
        """Makes the line, under the same name; the kernel's own name may be another than before."""
        if self._device >= 0:
            return
        self._device, self._held = os.openpty()
        tty.setraw(self._held)  # held open too: without a reader the kernel would throw away what is written
        os.set_blocking(self._device, False)
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._held))
        fresh.replace(self.path)

    def unplug(self) -> None:
        """Takes the line away: whoever has it open sees a hang-up, and its name is gone."""
        if self._device < 0:
            return
        self.path.unlink(missing_ok=True)
        os.close(self._held)
        os.close(self._device)
        self._device = self._held = -1

    def write(self, data: bytes) -> int:
        """Sends what the line takes now and returns how many bytes that were."""
        try:
            return os.write(self._device, data)
        except BlockingIOError:
            return 0

    async def send(self, data: bytes) -> None:
        """Sends all of it, waiting while the service does not read."""
        while data := data[self.write(data) :]:
            await self._ready(asyncio.get_running_loop().add_writer, asyncio.get_running_loop().remove_writer)

    async def receive(self) -> bytes:
        """What the service has written, at least one byte."""
        while True:
            try:
                return os.read(self._device, _READ_SIZE)
            except BlockingIOError:
                await self._ready(asyncio.get_running_loop().add_reader, asyncio.get_running_loop().remove_reader)

    async def _ready(self, add, remove) -> None:  # type: ignore[no-untyped-def]  # add_reader or add_writer
        ready = asyncio.get_running_loop().create_future()
        device = self._device
        add(device, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            remove(device)
