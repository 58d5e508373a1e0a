"""Runs a device on a simulated serial line: its answers, what it sends by itself, and faults on demand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from .command import execute_command, is_on
from .faults import SerialFaults, baud_mismatch
from .serial_line import SimulatedSerialLine

_LONGEST_PAUSE_S = 3600.0


class SerialDevice(Protocol):
    """The interface of an emulated serial device."""

    interval_s: float
    """Seconds between what it sends by itself; 0 when it only answers."""

    def set(self, quantity: str, value: float | str) -> None:
        """Fixes a physical value. Raises KeyError for an unknown quantity, ValueError for an impossible value."""

    def tick(self) -> list[bytes]:
        """What it sends by itself now, frame by frame."""

    def receive(self, data: bytes) -> list[bytes]:
        """Its answers to these bytes, however they are split."""


class PlayedDevice:
    """A device on its line.

    Parameters:
        device: on the line.
        line: it is on.
        faults: damage done to every frame.
        baud: rate that the service reads at; `baud N` on the control input makes the device send at another.
    """

    def __init__(
        self, device: SerialDevice, line: SimulatedSerialLine, faults: SerialFaults | None = None, baud: int = 9600
    ) -> None:
        self._device, self._line, self._baud = device, line, baud
        self.faults = faults or SerialFaults()
        self._sent_baud = baud
        self._silent = False
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self._commands: dict[str, tuple[int, Callable[..., object]]] = {
            "set": (2, self._set),
            "corrupt": (1, lambda share: self._share("corrupt", share)),
            "drop": (1, lambda share: self._share("drop", share)),
            "duplicate": (1, lambda share: self._share("duplicate", share)),
            "split": (1, lambda word: setattr(self.faults, "split", is_on(word))),
            "silent": (1, lambda word: setattr(self, "_silent", is_on(word))),
            "pause": (1, self._pause),
            "baud": (1, self._set_baud),
            "unplug": (0, line.unplug),
            "replug": (0, line.replug),
            "rename": (1, lambda path: line.rename(Path(path))),
        }

    async def run(self) -> None:
        """Plays until cancelled."""
        await asyncio.gather(self._tick(), self._answer())

    def execute(self, text: str) -> str:
        """Executes one line of the control input and returns the result.

        `set QUANTITY VALUE`, `corrupt|drop|duplicate SHARE`, `split|silent on|off`, `pause SECONDS`, `baud RATE`,
        `unplug`, `replug`, `rename PATH`.
        """
        return execute_command(text, self._commands)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while self._device.interval_s:
            await self.send(self._device.tick())
            due = max(due + self._device.interval_s, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _answer(self) -> None:
        while True:
            try:
                data = await self._line.receive()
            except ConnectionError:
                await asyncio.sleep(0.05)  # unplugged
                continue
            await self.send(self._device.receive(data))

    async def send(self, frames: list[bytes]) -> None:
        """Sends frames, with the faults that are set; nothing while it is silent or unplugged."""
        await self._goes_on.wait()
        for frame in frames:
            if self._silent:
                continue
            data = self.faults.apply(frame)
            if self._sent_baud != self._baud:
                data = baud_mismatch(data, self._sent_baud, self._baud)
            with contextlib.suppress(ConnectionError):
                await self._line.send(data)

    def _set(self, quantity: str, value: str) -> None:
        try:
            self._device.set(quantity, float(value))
        except ValueError:
            self._device.set(quantity, value)

    def _share(self, fault: str, text: str) -> None:
        share = float(text)
        if not 0 <= share <= 1:
            raise ValueError(f"{fault} {text}: a share is from 0 to 1")
        setattr(self.faults, fault, share)

    def _pause(self, text: str) -> None:
        seconds = float(text)
        if not 0 <= seconds <= _LONGEST_PAUSE_S:
            raise ValueError(f"pause {text}: from 0 to {_LONGEST_PAUSE_S:g} seconds")
        self._goes_on.clear()
        asyncio.get_running_loop().call_later(seconds, self._goes_on.set)

    def _set_baud(self, text: str) -> None:
        rate = int(text)
        if not 50 <= rate <= 4_000_000:
            raise ValueError(f"baud {text}: from 50 to 4000000")
        self._sent_baud = rate
