"""The service under test: each line of a serial device becomes one reading, in one message."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

from device_bridge import DeviceService, Quantity, Reading, Sample, ServiceSettings, run
from device_bridge.buses import SerialBus, SerialSettings


class LineSettings(ServiceSettings, frozen=True, kw_only=True):
    """Where the lines come from."""

    serial: SerialSettings


class LineService(DeviceService[LineSettings]):
    """Lines of text from a serial device."""

    quantities = (Quantity("line"),)

    def __init__(self, settings: LineSettings) -> None:
        super().__init__(settings)
        self.port = SerialBus(settings.serial)

    async def open(self) -> None:
        await self.port.open()

    async def stream(self) -> AsyncIterator[Sample]:
        rest = b""
        while True:
            *lines, rest = (rest + await self.port.read()).split(b"\n")
            for line in lines:
                yield (Reading("line", line.decode("ascii", "replace")),)

    async def close(self) -> None:
        await self.port.close()


if __name__ == "__main__":
    run(LineService, sys.argv[1:])
