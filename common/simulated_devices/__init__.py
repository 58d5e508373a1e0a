"""Hardware that behaves, and misbehaves on demand, behind the interface of the real thing."""

from .command import (
    Obedient,
    add_line_options,
    add_socket_option,
    emulator_parser,
    line_of,
    number,
    play_until_stopped,
    socket_of,
)
from .faults import SerialFaults, baud_mismatch
from .gpio import SimulatedGpio
from .gpio_chip import SimulatedGpioChip
from .i2c_bus import SimulatedI2cBus
from .i2c_chip import I2cChip, NoAcknowledge, RegisterChip
from .i2c_command import add_bus_options, bus_of, serve_until_stopped
from .serial_device import PlayedDevice, SerialDevice
from .serial_line import SimulatedSerialLine
from .surroundings import Clock, Surroundings

__all__ = [
    "Clock",
    "Surroundings",
    "I2cChip",
    "NoAcknowledge",
    "RegisterChip",
    "SimulatedGpio",
    "add_socket_option",
    "socket_of",
    "SimulatedGpioChip",
    "SimulatedI2cBus",
    "add_bus_options",
    "bus_of",
    "serve_until_stopped",
    "Obedient",
    "PlayedDevice",
    "SerialDevice",
    "SerialFaults",
    "SimulatedSerialLine",
    "add_line_options",
    "baud_mismatch",
    "emulator_parser",
    "line_of",
    "number",
    "play_until_stopped",
]
