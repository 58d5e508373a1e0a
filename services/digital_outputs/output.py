"""One output: its line, and what it is doing over time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from device_bridge import CommandError, DeviceError, Quality, Reading
from device_bridge.buses import GpioBus, GpioLines, LineConfig

from .settings import OutputSettings
from .switchboard import Switchboard

_LONGEST_S = 86_400.0


class Output:
    """One output.

    Parameters:
        settings: its own.
        board: what it may do.
        changed: called when it has been switched by itself: by a pattern, or to its safe state.
    """

    def __init__(self, settings: OutputSettings, board: Switchboard, changed: Callable[[Output], None]) -> None:
        self.settings, self.name = settings, settings.name
        self._board, self._changed = board, changed
        self._lines: GpioLines | None = None
        self._work: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self.duty = float(settings.safe)
        """What it is at: 0 off, 1 on, between them for PWM."""

    async def open(self, bus: GpioBus) -> None:
        """Takes its line into use, in its safe state. Raises DeviceError."""
        config = LineConfig(output=True, drive=self.settings.drive, values=int(self.settings.safe))
        self._lines = await bus.request([self.settings], config)

    @property
    def is_open(self) -> bool:
        """Whether its line is in use."""
        return self._lines is not None

    async def close(self) -> None:
        """Gives its line back."""
        await self._stop()
        if self._lines is not None:
            await self._lines.close()

    @property
    def last_will(self) -> tuple[int, int, bytes]:
        """What brings it into its safe state when this process has died."""
        assert self._lines is not None  # noqa: S101 - opened first
        return self._lines.last_will(int(self.settings.safe))

    async def safe(self) -> None:
        """Goes to its safe state, whatever it is doing; off, if another of its group is on. Raises DeviceError."""
        async with self._turn:
            await self._stop()
            await self._put_safe()

    async def set(self, value: float, for_s: float = 0.0) -> None:
        """Is on, off or at a duty, for some seconds or for good. Raises CommandError, DeviceError."""
        async with self._turn:
            self._allow(value > 0)
            await self._stop()
            if 0.0 < value < 1.0:
                self._claim()
                self._start(self._pulse_width(value, for_s))
                self.duty = value
                return
            await self._put(value > 0)
            if for_s:
                self._start(self._later(for_s))

    async def blink(self, on_s: float, off_s: float, times: int) -> None:
        """On and off, so many times, then its safe state. Raises CommandError, DeviceError."""
        limits = self.settings
        if on_s < limits.min_on or off_s < limits.min_off or (limits.max_on and on_s > limits.max_on):
            raise CommandError(f"`on_s` and `off_s` have to respect min_on, min_off and max_on of {self.name}")
        async with self._turn:
            self._allow(True)
            await self._stop()
            await self._put(True)
            self._start(self._blink(on_s, off_s, times))

    async def reading(self) -> Reading:
        """Its state, read back from the line."""
        if 0.0 < self.duty < 1.0:
            return Reading(self.name, self.duty, "/")
        assert self._lines is not None  # noqa: S101 - opened first
        on = bool(await self._lines.get())
        value = on if self.settings.kind == "switch" else float(on)
        unit = "/" if self.settings.kind == "pwm" else ""
        if on == bool(self.duty):
            return Reading(self.name, value, unit)
        reason = f"switched {'on' if self.duty else 'off'}, yet its line says otherwise: overload or short circuit"
        return Reading(self.name, value, unit, quality=Quality.UNCERTAIN, reason=reason)

    def _allow(self, on: bool) -> None:
        if objection := self._board.objection(self.name, on, asyncio.get_running_loop().time()):
            raise CommandError(f"{self.name} cannot be switched {'on' if on else 'off'} now: {objection}")

    def _claim(self) -> None:
        """From here on it may be on: nobody else of its group. Raises CommandError."""
        if conflict := self._board.conflict(self.name):
            raise CommandError(f"{self.name} cannot be switched on now: {conflict}")
        self._board.doubted(self.name)

    async def _put(self, on: bool) -> None:
        assert self._lines is not None  # noqa: S101 - opened first
        if on:
            self._claim()
        try:
            await self._lines.set(int(on))
        except DeviceError:
            self._board.doubted(self.name)
            raise
        self.duty = float(on)
        self._board.switched(self.name, on, asyncio.get_running_loop().time())

    async def _put_safe(self) -> None:
        await self._put(self.settings.safe and not self._board.conflict(self.name))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = asyncio.ensure_future(work)

    async def _stop(self) -> None:
        work, self._work = self._work, None
        if work is not None and work is not asyncio.current_task():
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def failure(self) -> Exception | None:
        """What ended a pattern before its time."""
        work = self._work
        if work is None or not work.done() or work.cancelled():
            return None
        error = work.exception()
        return error if isinstance(error, Exception) else None

    async def _later(self, for_s: float) -> None:
        await asyncio.sleep(for_s)
        await self._put_safe()
        self._changed(self)

    async def _blink(self, on_s: float, off_s: float, times: int) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        for left in range(times - 1, -1, -1):
            due += on_s
            await asyncio.sleep(due - loop.time())
            await self._put(False)
            if left:
                due += off_s
                await asyncio.sleep(due - loop.time())
                self._allow(True)
                await self._put(True)
        await self._put_safe()
        self._changed(self)

    async def _pulse_width(self, duty: float, for_s: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        end = due + (for_s or _LONGEST_S * 3650)
        period_s = 1 / self.settings.frequency
        assert self._lines is not None  # noqa: S101 - opened first
        self._board.switched(self.name, True, due)
        while due < end:
            await self._lines.set(1)
            await asyncio.sleep(max(0.0, due + period_s * duty - loop.time()))
            await self._lines.set(0)
            due += period_s
            await asyncio.sleep(max(0.0, due - loop.time()))
        await self._put_safe()
        self._changed(self)
