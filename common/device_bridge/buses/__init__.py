"""Ways to a device. Only these modules touch device files."""

from .framed_line import FramedLine
from .serial_bus import Rs485Settings, SerialBus, SerialSettings

__all__ = ["FramedLine", "Rs485Settings", "SerialBus", "SerialSettings"]
