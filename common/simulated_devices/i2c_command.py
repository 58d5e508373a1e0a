"""The common part of the command line of emulators on an I2C bus."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Mapping

from .command import add_socket_option, play_until_stopped, socket_of
from .i2c_bus import SimulatedI2cBus


def add_bus_options(parser: argparse.ArgumentParser) -> None:
    """The options of every emulator on an I2C bus, for `bus_of`."""
    add_socket_option(parser)
    parser.add_argument("--seed", type=int, default=1, help="seed of random damage (default 1)")


@contextlib.contextmanager
def bus_of(options: argparse.Namespace) -> Iterator[SimulatedI2cBus]:
    """The bus that the options of `add_bus_options` ask for; it has no chips yet."""
    with socket_of(options) as path:
        yield SimulatedI2cBus(path, options.seed)


async def serve_until_stopped(settings: Mapping[str, object], bus: SimulatedI2cBus) -> None:
    """Serves the bus until SIGTERM or SIGINT, like `play_until_stopped`; its path is added to the settings."""
    async with bus.serving():
        await play_until_stopped({"bus": {"path": f"sim:{bus.path}"}, **settings}, bus.play(), bus)
