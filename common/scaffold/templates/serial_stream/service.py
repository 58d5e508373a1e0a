"""Bridges DEVICE on a serial port."""

from __future__ import annotations

from collections.abc import AsyncIterator

from device_bridge import DeviceService, Sample, ServiceSettings, run
from device_bridge.buses import SerialBus, SerialSettings

from .protocol import LEVEL, Decoder


class MyDeviceSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    serial: SerialSettings


class MyDevice(DeviceService[MyDeviceSettings]):
    """DEVICE."""

    quantities = (LEVEL,)

    def __init__(self, settings: MyDeviceSettings) -> None:
        super().__init__(settings)
        self.port = self.own(SerialBus(settings.serial))
        self.decoder = Decoder()

    async def stream(self) -> AsyncIterator[Sample]:
        while True:
            for sample in self.decoder.feed(await self.port.read()):
                yield sample

    def counters(self) -> dict[str, int]:
        return super().counters() | {"malformed_lines": self.decoder.malformed}


def main() -> None:
    """Runs the service as this process."""
    run(MyDevice)
