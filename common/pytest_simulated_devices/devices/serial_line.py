"""A serial line of a test: a tty behind a name that stays the same, as in /dev/serial/by-id."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from device_bridge.buses import attached
from simulated_devices import InProcessSerialLine, SimulatedSerialLine

from ..movable_clock import is_movable
from ..transcript import Transcript


class _NotingLine(SimulatedSerialLine):
    """A tty whose bytes are noted."""

    def __init__(self, path: Path, transcript: Transcript, name: str) -> None:
        super().__init__(path)
        self._transcript, self._who = transcript, name

    def write(self, data: bytes | memoryview) -> int:
        count = super().write(data)
        if count:
            self._transcript.note_bytes(self._who, "sends", bytes(data[:count]))
        return count

    def read(self) -> bytes:
        data = super().read()
        if data:
            self._transcript.note_bytes(self._who, "gets ", data)
        return data


class _NotingInProcessLine(_NotingLine, InProcessSerialLine):
    """The same in this process, for a movable clock."""


class SerialLineFixture:
    """A line without a device; fixtures of devices derive from it.

    Parameters:
        name: of the fixture, for the transcript.
        folder: for its tty.
        transcript: of the test.
    """

    def __init__(self, name: str, folder: Path, transcript: Transcript) -> None:
        self.name, self._folder, self._transcript = name, folder, transcript
        self.path = folder / "by-id"
        """The name under which a service finds it, whatever the kernel calls the tty."""
        self.tty = folder / "ttyUSB0"
        """The kernel's name; another one after `replug(as_=…)`."""
        kind = _NotingInProcessLine if is_movable() else _NotingLine
        self.line: SimulatedSerialLine = kind(self.path if is_movable() else self.tty, transcript, name)
        self._work: set[asyncio.Future[Any]] = set()
        self._stack = contextlib.ExitStack()
        self._stack.callback(self.unplug)
        self._stack.enter_context(attached(str(self.path), self.line))
        self._plug()

    @property
    def settings(self) -> dict[str, Any]:
        """Members of a service's settings by which it reaches this line."""
        return {"serial": {"port": f"sim:{self.path}" if is_movable() else str(self.path)}}

    def unplug(self) -> None:
        """Removes the line: a service that has it open gets a hang-up, and its names are gone."""
        self._transcript.note(self.name, "unplugged")
        self.path.unlink(missing_ok=True)
        self.line.unplug()

    def replug(self, as_: str | None = None) -> None:
        """Brings the line back.

        Parameters:
            as_: the kernel's name for it from now on, as `ttyUSB1`; `path` leads to it under any. A movable clock
                knows `path` alone.
        """
        if as_ is not None and not is_movable():
            self.line.unplug()
            self.tty = self._folder / as_
            self.line.rename(self.tty)
        self._transcript.note(self.name, f"plugged in as {self.tty.name}")
        self._plug()

    def _plug(self) -> None:
        self.line.replug()
        if not is_movable() and not self.path.is_symlink():
            self.path.symlink_to(self.tty.name)

    async def send(self, data: bytes) -> None:
        """Sends bytes as they are, once the service takes them. Raises ConnectionError while it is unplugged."""
        await self.line.send(data)

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Runs until the end of the test."""
        self._work.add(asyncio.ensure_future(work))

    async def close(self) -> None:
        """Ends what runs, and unplugs it."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        self._stack.close()
