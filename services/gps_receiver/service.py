"""Bridges a GPS/GNSS receiver that speaks NMEA 0183 on a serial port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from msgspec import Meta

from device_bridge import DeviceService, Quality, Sample, Seconds, ServiceSettings, SettingsError, aged, run
from device_bridge.buses import SerialBus, SerialSettings

from .protocol import QUANTITIES, Decoder, SentenceReader

_MIN_NODE_POSITION_S = 10.0


class GpsSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    serial: SerialSettings
    stale_after: Annotated[
        Seconds,
        Meta(
            description="seconds without a reading after which a quantity's last value is marked stale; 0 for never"
        ),
    ] = 10.0
    require_checksum: Annotated[
        bool, Meta(description="whether a sentence without a checksum is taken for noise")
    ] = True
    node_position: Annotated[
        float,
        Meta(
            description="seconds, 10 at least, between reports of the position to the node, whose Controller "
            "shows it; 0 for none",
            ge=0,
        ),
    ] = 0.0


class GpsReceiver(DeviceService[GpsSettings]):
    """NMEA 0183 GPS/GNSS receiver and vessel's instruments: position, motion, time, depth, wind."""

    quantities = QUANTITIES

    @classmethod
    def check_settings(cls, settings: GpsSettings) -> None:
        """The node gets its position every ten seconds at most."""
        if 0 < settings.node_position < _MIN_NODE_POSITION_S:
            remedy = f"Write 0 for none, or {_MIN_NODE_POSITION_S:g} at least."
            raise SettingsError("node_position", settings.node_position, "is too often for the node", remedy)

    def __init__(self, settings: GpsSettings) -> None:
        super().__init__(settings)
        self.port = SerialBus(settings.serial)
        self.sentences = SentenceReader(require_checksum=settings.require_checksum)
        self.decoder = Decoder()

    async def open(self) -> None:
        await self.port.open()

    async def stream(self) -> AsyncIterator[Sample]:
        loop = asyncio.get_running_loop()
        while True:
            data = await self.port.read()
            came_at = loop.time() - self.port.age_s
            for sentence in self.sentences.feed(data):
                if readings := self.decoder.decode(sentence):
                    self._report_position(readings)
                    yield aged(readings, loop.time() - came_at)

    def _report_position(self, readings: Sample) -> None:
        known = {each.name: each.value for each in readings if each.quality is Quality.GOOD}
        lat, lon = known.get("lat"), known.get("lon")
        if self.settings.node_position and isinstance(lat, float) and isinstance(lon, float):
            self.node.position.report(lat, lon, self.settings.node_position)

    async def close(self) -> None:
        await self.port.close()

    def counters(self) -> dict[str, int]:
        return {
            "sentences": self.sentences.sentences,
            "ignored_sentences": self.decoder.ignored,
            "malformed_sentences": self.decoder.malformed,
            "checksum_errors": self.sentences.checksum_errors,
            "garbled_bytes": self.sentences.garbled,
        }


def main() -> None:
    """Runs the service as this process."""
    run(GpsReceiver)
