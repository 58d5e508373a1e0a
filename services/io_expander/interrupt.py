"""The chip's interrupt line: says when its lines are to be read."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import msgspec

from device_bridge import DeviceError, Sample
from device_bridge.buses import GpioBus, GpioLine, GpioLines, LineConfig
from device_bridge.control import Member

log = logging.getLogger("io_expander")

_LONGEST_S = 1.0
_STUCK = 20


class Interrupt:
    """A GPIO line that the chip pulls low when an input has changed, until levels are read.

    While it cannot be used, or stays low, lines are to be read at an interval as without it.

    Parameters:
        line: which.
        bus: where it is.
        interval_s: from read to read without it.
    """

    def __init__(self, line: GpioLine, bus: GpioBus, interval_s: float) -> None:
        self._line, self._bus = msgspec.structs.replace(line, active_low=False), bus
        self._interval_s = min(interval_s, _LONGEST_S)
        self._lines: GpioLines | None = None
        self._low = 0
        self.member = Member("interrupt", ())

    async def wait(self) -> None:
        """Until levels are to be read; not for longer than a second, as an edge may be missed."""
        if self._lines is None and not self.member.retry_in_s:
            await self.member.attempt(self._request, fatal=())
        if self._lines is None:
            await asyncio.sleep(self._interval_s)
            return
        try:
            if await self._lines.get():
                self._low = 0
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LONGEST_S):
                        await self._lines.read()
                return
        except DeviceError as error:
            self.member.fail(str(error))
            await self.close()
            return
        self._low += 1
        if self._low == _STUCK:
            log.warning(
                "the interrupt line stays low: a short circuit, or another chip; lines are read at an interval"
            )
        if self._low > 1:  # once, a line may have changed just after it was read
            await asyncio.sleep(self._interval_s)

    async def close(self) -> None:
        """Gives the line back."""
        lines, self._lines = self._lines, None
        if lines is not None:
            await lines.close()

    async def _request(self) -> Sample:
        # The chip pulls it low; what pulls it up may be this.
        self._lines = await self._bus.request([self._line], LineConfig(bias="pull_up", falling=True))
        return ()
