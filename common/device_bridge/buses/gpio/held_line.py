"""One GPIO line that is in use for as long as a service has its device open."""

from __future__ import annotations

import asyncio
import contextlib

from ...control.guard_process import SafeAct
from ...errors import DeviceError, DeviceErrorKind
from .bus import GpioBus, GpioLine, GpioLines, GpioSettings
from .uapi import LineConfig


class HeldLine:
    """A line that a service owns, as it owns a bus: `self.line = self.own(HeldLine(...))`.

    An output has the level of its configuration, its safe state, from its first instant on, and again before it is
    given back.

    Parameters:
        gpio: which chips.
        line: where it is, and how it is wired.
        config: how it is used; `values` is 1 for an output that is on when it is safe.
    """

    def __init__(self, gpio: GpioSettings, line: GpioLine, config: LineConfig) -> None:
        self._bus, self._line, self._config = GpioBus(gpio), line, config
        self._lines: GpioLines | None = None

    async def open(self) -> None:
        """Takes the line into use. Raises DeviceError."""
        await self._bus.open()
        self._lines = await self._bus.request([self._line], self._config)

    async def close(self) -> None:
        """Gives it back."""
        lines, self._lines = self._lines, None
        if lines is None:
            return
        if self._config.output:
            with contextlib.suppress(DeviceError):  # the chip is gone
                await lines.set(self._config.values)
        await lines.close()

    def counters(self) -> dict[str, int]:
        """Edges that came, and that were lost."""
        return {"edges": self._lines.edges, "edges_lost": self._lines.lost} if self._lines else {}

    async def get(self) -> bool:
        """Whether it is on. Raises DeviceError."""
        return bool(await self._open().get())

    async def set(self, on: bool) -> None:
        """Switches an output. Raises DeviceError."""
        await self._open().set(int(on))

    async def changed(self, timeout_s: float) -> None:
        """Waits for an edge, and no longer than this. Raises DeviceError."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._open().read()

    @property
    def safe_act(self) -> SafeAct:
        """What a `SafeStateGuard` does with an output."""
        (fd, request, off, off_answer), (*_, on, on_answer) = self._open().set_act(0), self._open().set_act(1)
        return SafeAct(fd, request, off, on, bool(self._config.values), "", off_answer, on_answer)

    def _open(self) -> GpioLines:
        if self._lines is None:
            raise DeviceError(DeviceErrorKind.GONE, str(self._line.line), "it is not open")
        return self._lines
