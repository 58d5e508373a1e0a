"""Emulators as processes: one call for a device on a serial line, chips on an I2C bus, or GPIO lines."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from .command import (
    add_line_options,
    add_socket_option,
    emulator_parser,
    line_of,
    play_until_stopped,
    socket_of,
)
from .gpio import SimulatedGpio
from .i2c_bus import SimulatedI2cBus
from .i2c_chip import I2cChip
from .i2c_command import add_bus_options, bus_of, serve_until_stopped
from .serial_device import PlayedDevice, SerialDevice


def run_serial_emulator(
    service: str, about: str, device: SerialDevice, settings: Mapping[str, object] | None = None, *, baud: int = 9600
) -> None:
    """Plays a device on a serial line as this process, as `play_until_stopped` says.

    Parameters:
        service: name of the service that reads it.
        about: for `--help`.
        device: what plays.
        settings: that the service needs beside those of the line.
        baud: bits per second.
    """

    async def play(options: argparse.Namespace) -> None:
        with line_of(options) as (line, faults):
            played = PlayedDevice(device, line, faults, baud=baud)
            reached = {"serial": {"port": str(line.path), "baud": baud}, **(settings or {})}
            await play_until_stopped(reached, played.run(), played)

    parser = emulator_parser(f"{service}.emulator", about, PlayedDevice)
    add_line_options(parser, "frames")
    asyncio.run(play(parser.parse_args()))


def run_i2c_emulator(
    service: str, about: str, chips: Mapping[int, I2cChip], settings: Mapping[str, object] | None = None
) -> None:
    """Plays chips on an I2C bus as this process, as `play_until_stopped` says.

    Parameters:
        service: name of the service that reads them.
        about: for `--help`.
        chips: by address; on the control input they are called `chip`, or `chip0`, `chip1` and so on.
        settings: that the service needs beside the bus.
    """

    async def play(options: argparse.Namespace) -> None:
        with bus_of(options) as bus:
            for number, (address, chip) in enumerate(chips.items()):
                bus.add("chip" if len(chips) == 1 else f"chip{number}", address, chip)
            await serve_until_stopped(settings or {}, bus)

    parser = emulator_parser(f"{service}.emulator", about, SimulatedI2cBus)
    add_bus_options(parser)
    asyncio.run(play(parser.parse_args()))


def run_gpio_emulator(
    service: str,
    about: str,
    lines: Sequence[str],
    play: Callable[[SimulatedGpio], Awaitable[None]],
    settings: Mapping[str, object] | None = None,
) -> None:
    """Plays what happens at GPIO lines as this process, as `play_until_stopped` says.

    Parameters:
        service: name of the service that uses them.
        about: for `--help`.
        lines: their names, on one chip.
        play: what happens at them, until it is cancelled.
        settings: that the service needs beside the chip's path.
    """

    async def run(options: argparse.Namespace) -> None:
        with socket_of(options) as path:
            gpio = SimulatedGpio(path)
            gpio.add("emulated", lines)

            async def playing() -> None:
                await play(gpio)

            async with gpio.serving():
                reached = {"gpio": {"path": f"sim:{path}"}, **(settings or {})}
                await play_until_stopped(reached, playing(), gpio)

    parser = emulator_parser(f"{service}.emulator", about, SimulatedGpio)
    add_socket_option(parser)
    asyncio.run(run(parser.parse_args()))
