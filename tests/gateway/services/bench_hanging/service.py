"""Waits for ever, when it is opened, read or closed."""

import asyncio
from typing import Literal

from device_bridge import DeviceService, Quantity, ServiceSettings


class HangingSettings(ServiceSettings, frozen=True, kw_only=True):
    where: Literal["open", "stream", "close"] = "stream"


class Hanging(DeviceService[HangingSettings]):
    """A device that never answers."""

    quantities = (Quantity("nothing"),)

    async def open(self):
        await self._hang("open")

    async def stream(self):
        yield [self.quantities[0].good(1)]
        await self._hang("stream")
        await asyncio.Event().wait()

    async def close(self):
        await self._hang("close")

    async def _hang(self, where):
        if where == self.settings.where:
            await asyncio.Event().wait()
