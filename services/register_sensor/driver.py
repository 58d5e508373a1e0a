"""Drives one chip on its bus, as its profile says."""

from __future__ import annotations

import asyncio

from device_bridge import DeviceErrorKind, Reading
from device_bridge.buses import I2cDevice

from .chip import ChipSettings, ConversionSettings, GarbledError, MatchSettings, ReadSettings

_READY_POLL_S = (0.001, 0.05)


class ChipDriver:
    """One chip: made ready when needed, then measured.

    Parameters:
        device: where it is.
        chip: what it is.
    """

    def __init__(self, device: I2cDevice, chip: ChipSettings) -> None:
        self.device, self.chip = device, chip
        self.checksum_errors = self.resets = 0
        self._ready = False

    async def measure(self) -> list[Reading]:
        """Everything it measures, once. Raises DeviceError; the chip is then made ready anew before the next time."""
        try:
            async with self.device.transaction() as device:
                if self._ready and not await self._kept(device):
                    self.resets += 1
                    self._ready = False
                if not self._ready:
                    await self._make_ready(device)
                readings = [
                    reading for conversion in self.chip.reads for reading in await self._read(device, conversion)
                ]
        except BaseException:
            self._ready = False
            raise
        self._ready = True
        return readings

    async def _make_ready(self, device: I2cDevice) -> None:
        for step in self.chip.init:
            if step.identify is not None:
                body = await self._bytes(device, step.identify)
                if not step.identify.holds(body):
                    detail = f"identification is {body.hex(' ')}, which is not that of this chip; another is there"
                    raise device.error(DeviceErrorKind.NOT_FOUND, detail)
            if step.write:
                await device.write(bytes(step.write))
            if step.wait_s:
                await asyncio.sleep(step.wait_s)
        if not await self._kept(device):
            raise device.error(DeviceErrorKind.GARBLED, "it does not keep its settings; check its supply")

    async def _kept(self, device: I2cDevice) -> bool:
        for step in self.chip.init:
            if step.kept is not None and not step.kept.holds(await self._bytes(device, step.kept)):
                return False
        return True

    async def _read(self, device: I2cDevice, conversion: ConversionSettings) -> list[Reading]:
        if conversion.start:
            await device.write(bytes(conversion.start))
        if conversion.wait_s:
            await asyncio.sleep(conversion.wait_s)
        if conversion.ready is not None:
            await self._await_ready(device, conversion.ready, conversion.ready_timeout_s)
        body = await self._bytes(device, conversion.read)
        for flag in conversion.invalid:
            if flag.holds(await self._bytes(device, flag)):
                return [field.bad(flag.reason) for field in conversion.fields]
        return [field.reading(field.raw(body)) for field in conversion.fields]

    async def _await_ready(self, device: I2cDevice, ready: MatchSettings, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        shortest, longest = _READY_POLL_S
        while not ready.holds(await self._bytes(device, ready)):
            if loop.time() > deadline:
                raise device.error(DeviceErrorKind.TIMEOUT, f"no measurement within {timeout_s:g} s")
            await asyncio.sleep(min(max(timeout_s / 20, shortest), longest))

    async def _bytes(self, device: I2cDevice, read: ReadSettings) -> bytes:
        if read.pause_s:
            await device.write(bytes(read.write))
            await asyncio.sleep(read.pause_s)
            data = await device.read(read.read)
        elif read.write:
            data = await device.write_read(bytes(read.write), read.read)
        else:
            data = await device.read(read.read)
        try:
            return read.strip(data)
        except GarbledError as error:
            self.checksum_errors += 1
            raise device.error(DeviceErrorKind.GARBLED, str(error)) from None
