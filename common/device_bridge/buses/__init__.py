"""Ways to a device. Only these modules touch device files."""

from .serial_bus import SerialBus, SerialSettings

__all__ = ["SerialBus", "SerialSettings"]
