"""Hardware that behaves, and misbehaves on demand, behind the interface of the real thing."""

from .command import Obedient, add_line_options, emulator_parser, line_of, number, play_until_stopped
from .faults import SerialFaults, baud_mismatch
from .serial_device import PlayedDevice, SerialDevice
from .serial_line import SimulatedSerialLine

__all__ = [
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
