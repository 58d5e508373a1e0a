"""Sends without a pause, and never lets go of the event loop by itself."""

import asyncio

from device_bridge import DeviceService, Quantity, ServiceSettings


class FloodingSettings(ServiceSettings, frozen=True, kw_only=True):
    samples: int = 20_000


class Flooding(DeviceService[FloodingSettings]):
    """A device gone mad."""

    quantities = (Quantity("count"),)

    async def stream(self):
        for number in range(self.settings.samples):
            yield [self.quantities[0].good(number + 1)]
        await asyncio.Event().wait()
