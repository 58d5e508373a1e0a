"""An emulated BH1750."""

from __future__ import annotations

import argparse
import asyncio

from simulated_devices import SimulatedI2cBus, add_bus_options, bus_of, emulator_parser, serve_until_stopped

from .service import COUNTS_PER_LUX


class Bh1750:
    """The chip: any command is taken, two bytes are given."""

    def __init__(self) -> None:
        self.lux = 0.0
        self.reset()

    def write(self, data: bytes) -> None:
        """Takes a command."""

    def read(self, count: int) -> bytes:
        """Gives the last measurement."""
        return round(self.lux * COUNTS_PER_LUX).to_bytes(2, "big")[:count]

    def reset(self) -> None:
        """Is as after power-on."""
        self.lux = 320.0

    def set(self, quantity: str, value: float) -> None:
        """Fixes the light."""
        if quantity != "illuminance":
            raise KeyError(quantity)
        self.lux = value


async def _run(options: argparse.Namespace) -> None:
    with bus_of(options) as bus:
        bus.add("light", 0x23, Bh1750())
        await serve_until_stopped({"interval": 0.1}, bus)


if __name__ == "__main__":
    parser = emulator_parser("luxmeter.emulator", __doc__, SimulatedI2cBus)
    add_bus_options(parser)
    asyncio.run(_run(parser.parse_args()))
