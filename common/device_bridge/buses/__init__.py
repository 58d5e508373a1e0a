"""Buses: the only modules that touch device files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .gpio.bus import Bias, Drive, EdgeBatch, GpioBus, GpioLine, GpioLines, GpioSettings, LineName
    from .gpio.held_line import HeldLine
    from .gpio.uapi import LineConfig
    from .i2c.bus import I2cAddress, I2cBus, I2cDevice, I2cSettings, number_of
    from .i2c.errors import I2cRetries
    from .in_process import attached, attached_at
    from .serial.bus import SerialBus
    from .serial.framed_line import FramedLine
    from .serial.port import Rs485Settings, SerialSettings
    from .workers import Worker
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "gpio.bus": (
                "Bias",
                "Drive",
                "EdgeBatch",
                "GpioBus",
                "GpioLine",
                "GpioLines",
                "GpioSettings",
                "LineName",
            ),
            "gpio.held_line": ("HeldLine",),
            "gpio.uapi": ("LineConfig",),
            "i2c.bus": ("I2cAddress", "I2cBus", "I2cDevice", "I2cSettings", "number_of"),
            "i2c.errors": ("I2cRetries",),
            "in_process": ("attached", "attached_at"),
            "serial.bus": ("SerialBus",),
            "serial.port": ("Rs485Settings", "SerialSettings"),
            "serial.framed_line": ("FramedLine",),
            "workers": ("Worker",),
        },
    )

__all__ = [
    "Bias",
    "Drive",
    "EdgeBatch",
    "FramedLine",
    "GpioBus",
    "GpioLine",
    "GpioLines",
    "GpioSettings",
    "HeldLine",
    "I2cAddress",
    "I2cBus",
    "I2cDevice",
    "I2cRetries",
    "I2cSettings",
    "LineConfig",
    "LineName",
    "Rs485Settings",
    "SerialBus",
    "SerialSettings",
    "Worker",
    "attached",
    "attached_at",
    "number_of",
]
