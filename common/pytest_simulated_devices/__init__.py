"""A pytest plugin: services under test on simulated devices, with faults on demand.

The fixtures are there once this package is installed. What is here is for annotations of types, and for tests that
need more than fixtures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports  # noqa: TID251 - the same way of lazy names in all packages

if TYPE_CHECKING:
    from .devices.gpio_chip import GpioChipFixture
    from .devices.i2c_bus import I2cBusFixture, reachable
    from .devices.modbus_slave import ModbusSlave, float_registers
    from .devices.modbus_unit import ModbusUnitFixture
    from .devices.serial_device import SerialDeviceFixture
    from .hardware import RealBus
    from .movable_clock import Clock, MovableClockLoop, is_movable, now, now_ns, run
    from .nodes.agent import LocalAgentFixture
    from .nodes.broker import MqttBrokerFixture
    from .nodes.memory_link import MemoryLink
    from .nodes.relay import Relay
    from .received import Received
    from .running_service import RunningServiceFixture
    from .transcript import Transcript
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "devices.gpio_chip": ("GpioChipFixture",),
            "devices.i2c_bus": ("I2cBusFixture", "reachable"),
            "devices.modbus_slave": ("ModbusSlave", "float_registers"),
            "devices.modbus_unit": ("ModbusUnitFixture",),
            "devices.serial_device": ("SerialDeviceFixture",),
            "hardware": ("RealBus",),
            "movable_clock": ("Clock", "MovableClockLoop", "is_movable", "now", "now_ns", "run"),
            "nodes.agent": ("LocalAgentFixture",),
            "nodes.broker": ("MqttBrokerFixture",),
            "nodes.memory_link": ("MemoryLink",),
            "nodes.relay": ("Relay",),
            "received": ("Received",),
            "running_service": ("RunningServiceFixture",),
            "transcript": ("Transcript",),
        },
    )

__all__ = [
    "Clock",
    "GpioChipFixture",
    "I2cBusFixture",
    "LocalAgentFixture",
    "MemoryLink",
    "ModbusSlave",
    "ModbusUnitFixture",
    "MovableClockLoop",
    "MqttBrokerFixture",
    "RealBus",
    "Received",
    "Relay",
    "RunningServiceFixture",
    "SerialDeviceFixture",
    "Transcript",
    "float_registers",
    "is_movable",
    "now",
    "now_ns",
    "reachable",
    "run",
]
