"""A Modbus RTU master: one request at a time on a serial line (Modbus over Serial Line V1.02).

Frames and function codes are pymodbus's; the line is ours, for its addressing, its unplugging and its lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest, WriteSingleCoilRequest
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from device_bridge import DeviceError, DeviceErrorKind
from device_bridge.buses import SerialBus, SerialSettings

from .registers import Group, RegisterSettings

_READS = {
    "input": ReadInputRegistersRequest,
    "holding": ReadHoldingRegistersRequest,
    "coil": ReadCoilsRequest,
    "discrete": ReadDiscreteInputsRequest,
}
_REFUSALS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, not done yet",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not respond",
}
_LEAST_GAP_S = 0.00175
"""Silence between frames above 19200 baud; 3.5 characters below (section 2.5.1.1)."""


class Refused(Exception):  # noqa: N818
    """A unit answered with an exception code (section 7)."""


class ModbusMaster:
    """Requests and answers on one line.

    Parameters:
        serial: which line, and how it is set.
        timeout_s: seconds to wait for the end of an answer.
    """

    def __init__(self, serial: SerialSettings, timeout_s: float) -> None:
        self._bus = SerialBus(serial)
        self._timeout_s = timeout_s
        self._framer = FramerRTU(DecodePDU(is_server=False))
        self._gap_s = max(3.5 * 11 / serial.baud, _LEAST_GAP_S)
        self._quiet_at = 0.0
        self._turn = asyncio.Lock()
        self.garbled = 0

    async def open(self) -> None:
        """Opens the line. Raises DeviceError or SettingsError."""
        await self._bus.open()

    async def close(self) -> None:
        """Closes the line; harmless when it is not open."""
        await self._bus.close()

    async def rest(self, seconds: float) -> None:
        """Waits, unless the line goes away meanwhile. Raises DeviceError then."""
        await self._bus.rest(seconds)

    async def read(self, unit: int, group: Group) -> Sequence[int] | Sequence[bool]:
        """The registers of a group. Raises DeviceError without a valid answer, Refused when the unit refuses."""
        request = _READS[group.table](address=group.address, count=group.size, dev_id=unit)
        answer = await self._exchange(unit, request)
        return answer.bits[: group.size] if group.table in ("coil", "discrete") else answer.registers

    async def write(self, unit: int, register: RegisterSettings, words: Sequence[int]) -> None:
        """Writes one value. Raises as `read` does."""
        request: ModbusPDU
        if register.table == "coil":
            request = WriteSingleCoilRequest(address=register.address, bits=[bool(words[0])], dev_id=unit)
        elif len(words) == 1:
            request = WriteSingleRegisterRequest(address=register.address, registers=list(words), dev_id=unit)
        else:
            request = WriteMultipleRegistersRequest(address=register.address, registers=list(words), dev_id=unit)
        await self._exchange(unit, request)

    async def _exchange(self, unit: int, request: ModbusPDU) -> ModbusPDU:
        loop = asyncio.get_running_loop()
        async with self._turn:
            await asyncio.sleep(max(0.0, self._quiet_at - loop.time()))
            self._bus.discard_input()
            garbled_before = self.garbled
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._bus.write(self._framer.buildFrame(request), self._timeout_s)
                    answer = await self._answer(unit, request)
            except TimeoutError:
                kind, what = DeviceErrorKind.TIMEOUT, "no answer"
                if self.garbled > garbled_before:
                    kind, what = DeviceErrorKind.GARBLED, "no valid answer"
                raise DeviceError(kind, f"unit {unit}", f"{what} within {self._timeout_s:g} s") from None
            finally:
                self._quiet_at = loop.time() + self._gap_s
        if answer.isError():
            raise Refused(_REFUSALS.get(answer.exception_code, f"exception {answer.exception_code}"))
        return answer

    async def _answer(self, unit: int, request: ModbusPDU) -> ModbusPDU:
        buffer = b""
        while True:
            buffer += await self._bus.read()
            try:
                used, answer = self._framer.handleFrame(buffer, unit, 0)
            except (ModbusException, ValueError, IndexError):
                used, answer = len(buffer), None
            if answer is not None and _fits(answer, request):
                return answer
            self.garbled += used > 0
            buffer = buffer[used:]


def _fits(answer: ModbusPDU, request: ModbusPDU) -> bool:
    """Whether this can be the answer: a late one to an earlier request of the same unit mostly is not."""
    if answer.function_code & 0x7F != request.function_code:
        return False
    if answer.isError():
        return True
    match request:
        case ReadCoilsRequest() | ReadDiscreteInputsRequest():
            return len(answer.bits) == (request.count + 7) // 8 * 8
        case ReadHoldingRegistersRequest():
            return len(answer.registers) == request.count
        case _:
            return answer.address == request.address
