"""Modbus RTU frames: requests, and the answers that belong to them. No I/O.

Follows the MODBUS Application Protocol Specification V1.1b3 and MODBUS over Serial Line V1.02.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal

import msgspec

from device_bridge.protocols import FixedFraming, Framer

Table = Literal["input", "holding", "coil", "discrete"]
READ_FUNCTIONS: dict[Table, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
MAX_REGISTERS = 125
"""In a request to read (section 6.3)."""
_WRITE_COIL, _WRITE_REGISTER, _WRITE_COILS, _WRITE_REGISTERS = 5, 6, 15, 16
_REFUSAL = 0x80
_REFUSAL_SIZE, _WRITTEN_SIZE = 5, 8
_LONGEST = 256
_MAX_SIZES = 4096


class Request(msgspec.Struct, frozen=True):
    """One request to one unit.

    Parameters:
        unit: address on the line.
        function: code.
        address: of the first register or bit.
        count: registers or bits to read, 0 for a write.
        content: of a write: what follows the address.
    """

    unit: int
    function: int
    address: int
    count: int = 0
    content: bytes = b""

    @property
    def frame(self) -> bytes:
        """The bytes to send."""
        content = self.content or struct.pack(">H", self.count)
        return with_crc(struct.pack(">BBH", self.unit, self.function, self.address) + content)

    @property
    def answer_starts(self) -> dict[bytes, int]:
        """How each possible answer begins, and its bytes with the CRC."""
        refusal = {bytes((self.unit, self.function | _REFUSAL)): _REFUSAL_SIZE}
        if not self.count:
            return {bytes((self.unit, self.function)): _WRITTEN_SIZE} | refusal
        size = self.count * 2 if self.function > READ_FUNCTIONS["discrete"] else (self.count + 7) // 8
        return {bytes((self.unit, self.function, size)): size + 5} | refusal

    def accepts(self, frame: bytes) -> bool:
        """Whether a frame with a right CRC can be the answer."""
        if not self.count and frame[1:2] == bytes((self.function,)):
            return frame[:6] == self.frame[:6]  # address and value, or address and count
        return any(frame.startswith(start) and len(frame) == size for start, size in self.answer_starts.items())

    def is_damaged(self, data: bytes) -> bool:
        """Whether these bytes look like the answer, but damaged."""
        start, size = next(iter(self.answer_starts.items()))
        ends = (data[:size], data[-size:])
        return len(data) >= size and any(sum(map(int.__eq__, start, end)) >= 2 for end in ends)


def read_request(unit: int, table: Table, address: int, count: int) -> Request:
    """Reads registers or bits."""
    return Request(unit, READ_FUNCTIONS[table], address, count)


def write_request(unit: int, table: Table, address: int, values: Sequence[int], function: int | None) -> Request:
    """Writes holding registers, or coils.

    Parameters:
        values: of the registers; of the coils 1 or 0.
        function: 5 or 15 for coils, 6 or 16 for registers; None takes 5 or 6 for a single one.
    """
    if table == "coil":
        if (function or (_WRITE_COIL if len(values) == 1 else _WRITE_COILS)) == _WRITE_COIL:
            return Request(unit, _WRITE_COIL, address, content=b"\xff\x00" if values[0] else b"\x00\x00")
        bits = sum(bool(value) << at for at, value in enumerate(values))
        data = bits.to_bytes((len(values) + 7) // 8, "little")
        return Request(unit, _WRITE_COILS, address, content=struct.pack(">HB", len(values), len(data)) + data)
    if (function or (_WRITE_REGISTER if len(values) == 1 else _WRITE_REGISTERS)) == _WRITE_REGISTER:
        return Request(unit, _WRITE_REGISTER, address, content=struct.pack(">H", values[0]))
    data = struct.pack(f">{len(values)}H", *values)
    return Request(unit, _WRITE_REGISTERS, address, content=struct.pack(">HB", len(values), len(data)) + data)


def refusal_of(frame: bytes) -> int:
    """The exception code of an answer, 0 for none."""
    return frame[2] if frame[1] & _REFUSAL else 0


def values_of(frame: bytes, request: Request) -> list[int]:
    """The registers, or bits as 1 and 0, in the answer to a request to read."""
    data = frame[3:-2]
    if request.function > READ_FUNCTIONS["discrete"]:
        return list(struct.unpack(f">{len(data) // 2}H", data))
    bits = int.from_bytes(data, "little")
    return [bits >> at & 1 for at in range(request.count)]


class RtuFramer(Framer):
    """Finds answers, whatever is between them: a byte that begins none costs that byte.

    An answer is known by its beginning, so that `expect` needs each request before its answer comes.
    """

    def __init__(self) -> None:
        super().__init__(FixedFraming(length=1))
        self._sizes: dict[bytes, int] = {}
        self._begun: list[int] = []

    def expect(self, request: Request) -> None:
        """Looks for answers to this request too, from now on."""
        self._sizes |= request.answer_starts
        while len(self._sizes) > _MAX_SIZES:
            del self._sizes[next(iter(self._sizes))]

    def clear(self) -> None:
        self.garbled += bool(self._buffer)
        super().clear()
        self._begun = []

    def feed(self, data: bytes, now: float = 0.0) -> list[bytes]:
        buffer, begun, found, end = self._buffer + data, list[int](), list[bytes](), 0
        fresh = range(max(0, len(self._buffer) - 2), len(buffer))  # the last two may begin one only now
        for at in sorted({*self._begun, *fresh}):
            size = self._sizes.get(buffer[at : at + 3]) or self._sizes.get(buffer[at : at + 2])
            if at < end or size is None:
                continue
            frame = buffer[at : at + size]
            if len(frame) < size:
                begun.append(at)
            elif crc(frame) == 0:
                found.append(frame)
                self.garbled += at > end
                end, begun = at + size, []
        drop = max(end, min((len(buffer) - _LONGEST, *begun)), 0)
        self.garbled += drop > end
        self._buffer, self._begun = buffer[drop:], [at - drop for at in begun if at >= drop]
        return found


def with_crc(frame: bytes) -> bytes:
    """The frame, ended by its CRC."""
    return frame + crc(frame).to_bytes(2, "little")


def crc(frame: bytes) -> int:
    """CRC-16/MODBUS (serial line section 6.2.2); 0 over a frame that ends with its own."""
    value = 0xFFFF
    for byte in frame:
        value = value >> 8 ^ _CRC_TABLE[(value ^ byte) & 0xFF]
    return value


def _crc_of_byte(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


_CRC_TABLE = [_crc_of_byte(byte) for byte in range(256)]
