"""Simulated hardware with faults on demand, behind the interface of the real hardware."""

from .command import (
    Controllable,
    add_line_options,
    add_socket_option,
    emulator_parser,
    execute_command,
    is_on,
    line_of,
    number,
    play_until_stopped,
    socket_of,
)
from .emulator import run_gpio_emulator, run_i2c_emulator, run_serial_emulator
from .faults import SerialFaults, baud_mismatch
from .gpio import SimulatedGpio
from .gpio_chip import SimulatedGpioChip
from .i2c_bus import SimulatedI2cBus
from .i2c_chip import I2cChip, NoAcknowledge, RegisterChip
from .i2c_command import add_bus_options, bus_of, serve_until_stopped
from .message_server import MessageServer, read_message, write_message
from .serial_device import PlayedDevice, SerialDevice
from .serial_line import InProcessSerialLine, SimulatedSerialLine
from .surroundings import Clock, Surroundings

__all__ = [
    "Clock",
    "I2cChip",
    "InProcessSerialLine",
    "MessageServer",
    "NoAcknowledge",
    "Controllable",
    "PlayedDevice",
    "RegisterChip",
    "SerialDevice",
    "SerialFaults",
    "SimulatedGpio",
    "SimulatedGpioChip",
    "SimulatedI2cBus",
    "SimulatedSerialLine",
    "Surroundings",
    "add_bus_options",
    "add_line_options",
    "add_socket_option",
    "baud_mismatch",
    "bus_of",
    "emulator_parser",
    "execute_command",
    "is_on",
    "line_of",
    "number",
    "play_until_stopped",
    "read_message",
    "run_gpio_emulator",
    "run_i2c_emulator",
    "run_serial_emulator",
    "serve_until_stopped",
    "socket_of",
    "write_message",
]
