"""Ways to a device. Only these modules touch device files; each is loaded when something of it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .gpio.bus import EdgeBatch, GpioBus, GpioLine, GpioLines, GpioSettings
    from .gpio.uapi import LineConfig
    from .i2c.bus import I2cAddress, I2cBus, I2cDevice, I2cSettings, number_of
    from .i2c.errors import I2cRetries
    from .serial.bus import Rs485Settings, SerialBus, SerialSettings
    from .serial.framed_line import FramedLine

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

_MODULES = {
    "serial.framed_line": ("FramedLine",),
    "gpio.bus": ("EdgeBatch", "GpioBus", "GpioLine", "GpioLines", "GpioSettings"),
    "gpio.uapi": ("LineConfig",),
    "i2c.bus": ("I2cAddress", "I2cBus", "I2cDevice", "I2cSettings", "number_of"),
    "i2c.errors": ("I2cRetries",),
    "serial.bus": ("Rs485Settings", "SerialBus", "SerialSettings"),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    # A service has one bus; on a small board the others would cost it time and memory for nothing.
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
