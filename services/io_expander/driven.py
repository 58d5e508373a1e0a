"""The outputs of an expander: what they are driven to, and their safe state whatever becomes of this process."""

from __future__ import annotations

import asyncio
import logging

from device_bridge import CommandError, DeviceError, DeviceErrorKind
from device_bridge.buses import I2cDevice
from device_bridge.control import I2cAct, SafeStateGuard

from .chip import WAS_RESET, Expander

log = logging.getLogger("io_expander")

_LAST_S = 1.0


class DrivenExpander:
    """An expander and what its outputs are driven to; a command and a check never get into each other's way.

    Parameters:
        expander: its kind.
        device: the chip.
        off: levels of outputs that are off.
        safe: levels of outputs in their safe state.
        guard_after_s: seconds without a sign of this process after which a second one brings them there.
    """

    def __init__(self, expander: Expander, device: I2cDevice, off: int, safe: int, guard_after_s: float) -> None:
        self.device, self.guard = device, SafeStateGuard(guard_after_s)
        self._expander, self._off, self._safe = expander, off, safe
        self.driven = safe
        """Levels that outputs were given last."""
        self.is_certain = True
        """Whether they certainly have them: not so after a command that has failed on its way."""
        self._is_open = False
        self._is_unguarded = False

    async def open(self, inputs: int, pull_ups: int, watched: int) -> None:
        """Sets it up; see `Expander.set_up`. Raises DeviceError."""
        async with self.device.transaction() as device:
            self._is_open = True
            await self._expander.set_up(device, inputs, pull_ups, self._safe, watched)
            if not await self._expander.kept(device):
                raise device.error(DeviceErrorKind.GARBLED, "it does not keep its settings: another chip is there")

    async def protect(self, path: str) -> None:
        """Has the guard bring outputs into their safe state when this process has died. Raises DeviceError.

        Parameters:
            path: of the bus.
        """
        off, safe = self._expander.latch(self._off), self._expander.latch(self._safe)
        await self.guard.protect([I2cAct(path, self.device.address, off, safe, safe=off != safe)])

    async def keep_guarded(self) -> None:
        """Keeps the guard running. Raises DeviceError when that fails: outputs are not to be kept then."""
        try:
            await self.guard.keep_running()
        except DeviceError:
            self._is_unguarded = True
            raise

    async def close(self, *, keep: bool) -> None:
        """Brings outputs into their safe state; drives nothing after that.

        Parameters:
            keep: outputs stay as they are, unless the guard has died.
        """
        was_open, self._is_open = self._is_open, False
        is_safe = True
        if was_open and (self._is_unguarded or not keep):
            try:
                async with asyncio.timeout(_LAST_S), self.device.transaction() as device:
                    await self._expander.drive(device, self._safe)
            except (DeviceError, TimeoutError) as error:
                is_safe = False
                log.error("outputs could not be brought into their safe state: %s", error)
        await self.guard.stop(act=not is_safe)

    async def levels(self) -> int:
        """The levels at all lines. Raises DeviceError."""
        return await self._expander.levels(self.device)

    async def drive(self, bits: int, *, high: bool) -> int:
        """Gives outputs a level; returns the levels at all lines then. Raises CommandError, DeviceError."""
        async with self.device.transaction() as device:
            if not self._is_open:
                raise CommandError("the chip is being closed")
            driven = self.driven | bits if high else self.driven & ~bits
            self.is_certain = False
            await self._expander.drive(device, driven)
            self.driven, self.is_certain = driven, True
            levels = await self._expander.levels(device)
            if not await self._expander.kept(device):
                raise device.error(DeviceErrorKind.GARBLED, WAS_RESET)
            return levels

    async def check(self) -> None:
        """Undoes what a failed command may have changed. Raises DeviceError, also when it is not as it was set up."""
        async with self.device.transaction() as device:
            if not self.is_certain:
                await self._expander.drive(device, self.driven)
                self.is_certain = True
            if not await self._expander.kept(device):
                raise device.error(DeviceErrorKind.GARBLED, WAS_RESET)
