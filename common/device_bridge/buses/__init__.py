"""Ways to a device. Only these modules touch device files."""

from .framed_line import FramedLine
from .gpio_bus import EdgeBatch, GpioBus, GpioLine, GpioLines, GpioSettings
from .gpio_uapi import LineConfig
from .i2c_bus import I2cAddress, I2cBus, I2cDevice, I2cSettings, number_of
from .i2c_errors import I2cRetries
from .serial_bus import Rs485Settings, SerialBus, SerialSettings

__all__ = [
    "EdgeBatch",
    "FramedLine",
    "GpioBus",
    "GpioLine",
    "GpioLines",
    "GpioSettings",
    "I2cAddress",
    "I2cBus",
    "I2cDevice",
    "I2cRetries",
    "I2cSettings",
    "LineConfig",
    "Rs485Settings",
    "SerialBus",
    "SerialSettings",
    "number_of",
]
