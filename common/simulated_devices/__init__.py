"""Hardware that behaves, and misbehaves on demand, behind the interface of the real thing."""

from .command import number, play_until_stopped
from .faults import SerialFaults, baud_mismatch
from .serial_device import PlayedDevice, SerialDevice, obey_control_input
from .serial_line import SimulatedSerialLine

__all__ = [
    "PlayedDevice",
    "SerialDevice",
    "SerialFaults",
    "SimulatedSerialLine",
    "baud_mismatch",
    "number",
    "obey_control_input",
    "play_until_stopped",
]
