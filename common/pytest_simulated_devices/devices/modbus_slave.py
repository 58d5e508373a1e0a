"""Modbus RTU units on a simulated line, byte by byte: what they answer, and when, is up to a test.

Follows the MODBUS Application Protocol Specification V1.1b3 and MODBUS over Serial Line V1.02.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence

from simulated_devices import SimulatedSerialLine

TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input", 5: "coil", 6: "holding", 15: "coil", 16: "holding"}
"""By function code."""
_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS = 1, 2
_UNPLUGGED_S = 0.05

Registers = dict[tuple[str, int], int]
"""Values by table (`input`, `holding`, `coil`, `discrete`) and address."""
Replies = Callable[[bytes, bytes], Sequence[tuple[float, bytes]]]


def with_crc(frame: bytes) -> bytes:
    """The frame, ended by its CRC-16/MODBUS (serial line section 6.2.2)."""
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return frame + value.to_bytes(2, "little")


def float_registers(value: float) -> tuple[int, int]:
    """The two registers of a float, the high word first."""
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return high, low


class ModbusSlave:
    """All units of a line; those without registers do not answer.

    Parameters:
        line: where they are.
        units: registers of each, by its address; any other register is refused.
    """

    def __init__(self, line: SimulatedSerialLine, units: dict[int, Registers]) -> None:
        self._line, self.units = line, units
        self.requests: list[tuple[float, bytes]] = []
        """Each with its time on the event loop's clock."""
        self.functions = set(TABLES)
        self.replies: Replies = lambda request, answer: [(0.0, answer)]
        """What is sent after a request: pieces, each after so many seconds."""

    async def run(self) -> None:
        """Answers until cancelled, also after it was unplugged for a while."""
        buffer = b""
        while True:
            try:
                buffer += await self._line.receive()
            except ConnectionError:
                buffer = b""
                await asyncio.sleep(_UNPLUGGED_S)
            while len(buffer) >= 8:
                size = 9 + buffer[6] if buffer[1] in (15, 16) else 8
                if len(buffer) < size:
                    break
                request, buffer = buffer[:size], buffer[size:]
                loop = asyncio.get_running_loop()
                self.requests.append((loop.time(), request))
                if (answer := self._answer(request)) is not None:
                    for delay_s, piece in self.replies(request, answer):
                        loop.call_later(delay_s, self._send, piece)

    def _send(self, piece: bytes) -> None:
        try:
            self._line.write(piece)
        except ConnectionError:
            return  # unplugged meanwhile

    def _answer(self, request: bytes) -> bytes | None:
        unit, function, address, count = struct.unpack(">BBHH", request[:6])
        registers = self.units.get(unit)
        if registers is None:
            return None
        if function not in self.functions:
            return with_crc(bytes((unit, function | 0x80, _ILLEGAL_FUNCTION)))
        table = TABLES[function]
        keys = [(table, address + at) for at in range(1 if function in (5, 6) else count)]
        if any(key not in registers for key in keys):
            return with_crc(bytes((unit, function | 0x80, _ILLEGAL_ADDRESS)))
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
