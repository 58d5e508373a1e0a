"""`python -m device_bridge.buses.i2c.scan PATH`: which addresses answer on a bus. Reads only, never writes."""

from __future__ import annotations

import argparse
import asyncio
import sys

from ...errors import DeviceError
from .bus import I2cBus, I2cSettings


async def _scan(path: str, channels: list[tuple[int, int]]) -> list[int]:
    bus = I2cBus(I2cSettings(path=path))
    await bus.open()
    try:
        part = bus
        for mux, channel in channels:
            part = part.channel(mux, channel)
        return await part.scan()
    finally:
        await bus.close()


def _channel(text: str) -> tuple[int, int]:
    mux, _, channel = text.partition(".")
    return int(mux, 16), int(channel)


def main(arguments: list[str] | None = None) -> int:
    """Prints one address a line. Exit status 1, with the reason, when the bus cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m device_bridge.buses.i2c.scan", description=__doc__)
    parser.add_argument("path", help="/dev/i2c-N, or sim:PATH")
    parser.add_argument(
        "--channel",
        type=_channel,
        action="append",
        default=[],
        help="behind this multiplexer's channel, as 0x70.3 (this does write: the channel, to the multiplexer)",
    )
    options = parser.parse_args(arguments)
    try:
        found = asyncio.run(_scan(options.path, options.channel))
    except (DeviceError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("".join(f"0x{address:02x}\n" for address in found) or "nothing answers\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
