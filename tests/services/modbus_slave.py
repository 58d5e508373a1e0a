"""Modbus units on a line, and a service that reads them."""

import asyncio
import contextlib

from device_bridge.buses import attached
from modbus_meter.service import ModbusMeter
from pytest_simulated_devices import ModbusSlave, float_registers
from simulated_devices import InProcessSerialLine, SimulatedSerialLine

from ..movable_clock import is_movable
from .serving import bridging, port_of, settings_of


def floats(table="input", **at):
    """Registers that hold floats: name of no meaning to address and value."""
    registers = {}
    for address, value in at.values():
        high, low = float_registers(value)
        registers |= {(table, address): high, (table, address + 1): low}
    return registers


@contextlib.asynccontextmanager
async def slaves(tmp_path, held, **members):
    """Units and a bridge that reads them, within the block."""
    path = tmp_path / "tty"
    with (InProcessSerialLine if is_movable() else SimulatedSerialLine)(path) as line, attached(str(path), line):
        slave = ModbusSlave(line, held)
        answering = asyncio.ensure_future(slave.run())
        serial = {"port": port_of(path), "baud": 115_200} | members.pop("serial", {})
        settings = settings_of(ModbusMeter, serial=serial, **{"interval": 0.05, "timeout": 0.1} | members)
        ModbusMeter.check_settings(settings)
        try:
            async with bridging(ModbusMeter, settings) as bridged:
                yield slave, bridged
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
