"""DEVICE: its registers and what they mean. No I/O.

Its registers begin with the chip's identity and 16 bits in 1/128 degrees: read at once, they are of one chip.
"""

from __future__ import annotations

from device_bridge import Quantity

ADDRESS = 0x48
IDENTITY, MEASUREMENT, LENGTH = 0x00, 0x01, 3
MY_IDENTITY = 0x75
MEASURED = Quantity("temperature", "Cel", (-40, 125), "of the chip")
STEP = 1 / 128
"""The finest difference between two measurements."""


def decode(data: bytes) -> float:
    """Degrees Celsius of the two bytes of a measurement."""
    return int.from_bytes(data, "big", signed=True) * STEP


def encode(celsius: float) -> bytes:
    """The bytes that the chip gives."""
    return round(celsius / STEP).to_bytes(2, "big", signed=True)
