"""A Modbus RTU master: one request at a time on a serial line (Modbus over Serial Line V1.02)."""

from __future__ import annotations

from collections.abc import Sequence

from device_bridge import DeviceError
from device_bridge.buses import FramedLine, SerialSettings
from device_bridge.protocols import Question

from .rtu import Request, RtuFramer, Table, read_request, refusal_of, values_of, write_request
from .settings import UnitSettings

BUSY = (5, 6)
"""Exception codes of a unit that cannot answer yet."""
NOT_THERE = (2, 3)
"""Exception codes of a block that is not all there, or too long."""
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
_MIN_GAP_S = 0.00175
"""Silence between frames above 19200 baud; 3.5 characters below (section 2.5.1.1)."""


class Refused(Exception):  # noqa: N818
    """A unit answered with an exception code (section 7)."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(_REFUSALS.get(code, f"exception {code}"))


class ModbusMaster(FramedLine):
    """Requests and answers on one line.

    Parameters:
        serial: which line, and how it is set.
        timeout_s: seconds to wait for the end of an answer.
        pause_s: seconds of silence before each request.
    """

    def __init__(self, serial: SerialSettings, timeout_s: float, pause_s: float = 0.0) -> None:
        self._timeout_s = timeout_s
        self._rtu = RtuFramer()
        gap_s = max(3.5 * 11 / serial.baud, _MIN_GAP_S)
        super().__init__(serial, self._rtu, keep=False, strict=True, gap_s=gap_s, pause_s=pause_s)

    async def read(self, unit: UnitSettings, table: Table, address: int, count: int) -> list[int]:
        """Registers, or bits as 1 and 0. Raises DeviceError without a valid answer, Refused when the unit refuses."""
        request = read_request(unit.address, table, address, count)
        return values_of(await self._request(unit, request), request)

    async def write(
        self, unit: UnitSettings, table: Table, address: int, values: Sequence[int], function: int | None
    ) -> None:
        """Writes holding registers or coils by this function. Raises as `read` does."""
        await self._request(unit, write_request(unit.address, table, address, values, function))

    async def _request(self, unit: UnitSettings, request: Request) -> bytes:
        self._rtu.expect(request)
        question = Question(
            data=request.frame,
            accepts=request.accepts,
            timeout_s=self._timeout_s,
            device=unit.address,
            repeatable=request.count > 0,
            echoes=request.count == 0,
            pause_s=unit.pause,
            is_damaged=request.is_damaged,
        )
        try:
            answer = await self.put(question)
        except DeviceError as error:
            raise DeviceError(error.kind, unit.label, error.detail) from None
        if code := refusal_of(answer):
            raise Refused(code)
        return answer
