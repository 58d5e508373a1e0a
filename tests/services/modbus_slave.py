"""Modbus units on a simulated line, byte by byte: what they answer, and when, is up to a test."""

import asyncio
import contextlib
import struct

from device_bridge.buses import attached
from modbus_meter.rtu import with_crc
from modbus_meter.service import ModbusMeter
from simulated_devices import InProcessSerialLine, SimulatedSerialLine

from ..movable_clock import is_movable
from .serving import bridging, port_of, settings_of

TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input", 5: "coil", 6: "holding", 15: "coil", 16: "holding"}


class Slave:
    """All units of a line; those without registers do not answer.

    Parameters:
        line: where they are.
        units: registers of each, as {address: {(table, register): value}}; any other register is refused.
    """

    def __init__(self, line, units):
        self._line, self.units = line, units
        self.requests = []
        self.functions = {1, 2, 3, 4, 5, 6, 15, 16}
        self.replies = lambda request, answer: [(0.0, answer)]
        """What is sent after a request: pieces, each after so many seconds."""

    async def run(self):
        buffer = b""
        while True:
            buffer += await self._line.receive()
            while len(buffer) >= 8:
                size = 9 + buffer[6] if buffer[1] in (15, 16) else 8
                if len(buffer) < size:
                    break
                request, buffer = buffer[:size], buffer[size:]
                self.requests.append((asyncio.get_running_loop().time(), request))
                if (answer := self._answer(request)) is not None:
                    for delay_s, piece in self.replies(request, answer):
                        asyncio.get_running_loop().call_later(delay_s, self._line.write, piece)

    def _answer(self, request):
        unit, function, address, count = struct.unpack(">BBHH", request[:6])
        registers = self.units.get(unit)
        if registers is None:
            return None
        if function not in self.functions:
            return with_crc(bytes((unit, function | 0x80, 1)))
        table = TABLES[function]
        keys = [(table, address + at) for at in range(1 if function in (5, 6) else count)]
        if any(key not in registers for key in keys):
            return with_crc(bytes((unit, function | 0x80, 2)))
        if function in (5, 6):
            registers[keys[0]] = count
            return request
        if function in (15, 16):
            width = 2 if function == 16 else 1
            data = request[7:-2]
            for at, key in enumerate(keys):
                registers[key] = int.from_bytes(data[width * at :][:width], "big")
            return with_crc(request[:6])
        values = [registers[key] for key in keys]
        if function in (1, 2):
            data = sum(bool(value) << at for at, value in enumerate(values)).to_bytes((count + 7) // 8, "little")
        else:
            data = struct.pack(f">{count}H", *values)
        return with_crc(bytes((unit, function, len(data))) + data)


def floats(table="input", **at):
    """Registers that hold floats: name of no meaning to address and value."""
    registers = {}
    for address, value in at.values():
        high, low = struct.unpack(">HH", struct.pack(">f", value))
        registers |= {(table, address): high, (table, address + 1): low}
    return registers


@contextlib.asynccontextmanager
async def slaves(tmp_path, held, **members):
    """Units and a bridge that reads them, within the block."""
    path = tmp_path / "tty"
    with (InProcessSerialLine if is_movable() else SimulatedSerialLine)(path) as line, attached(str(path), line):
        slave = Slave(line, held)
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
