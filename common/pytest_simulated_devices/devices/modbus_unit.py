"""The fixture `modbus_unit`: a Modbus RTU unit with registers, on a serial line of its own."""

from __future__ import annotations

from pathlib import Path

from ..transcript import Transcript
from .modbus_slave import ModbusSlave, float_registers
from .serial_line import SerialLineFixture


class ModbusUnitFixture(SerialLineFixture):
    """The unit; its address is 1. Other units of its line are in `slave.units`."""

    address = 1

    def __init__(self, name: str, folder: Path, transcript: Transcript) -> None:
        super().__init__(name, folder, transcript)
        self.slave = ModbusSlave(self.line, {self.address: {}})
        self._answers = self.slave.replies
        self.start(self.slave.run())

    def set(self, table: str, register: int, value: float) -> None:
        """Gives it a register, or two for a float (high word first); what has no value is refused.

        Parameters:
            table: `input`, `holding`, `coil` or `discrete`.
            register: address in its table, counted from 0.
            value: a whole number, 0 to 65535, or a float.
        """
        registers = self.slave.units[self.address]
        words = float_registers(value) if isinstance(value, float) else (value,)
        for at, word in enumerate(words):
            registers[table, register + at] = word

    def get(self, table: str, register: int) -> int:
        """What a register holds, as a service may have written it. Raises KeyError."""
        return self.slave.units[self.address][table, register]

    def corrupt(self) -> None:
        """Flips a bit in each answer; its CRC no longer fits."""
        self._transcript.note(self.name, "corrupts its answers")
        self.slave.replies = lambda request, answer: [(0.0, answer[:2] + bytes([answer[2] ^ 1]) + answer[3:])]

    def no_acknowledge(self) -> None:
        """It takes requests and does not answer."""
        self._transcript.note(self.name, "does not answer")
        self.slave.replies = lambda request, answer: []

    def stall(self, seconds: float) -> None:
        """It answers so much later."""
        self._transcript.note(self.name, f"answers {seconds:g} s late")
        self.slave.replies = lambda request, answer: [(seconds, answer)]

    def heal(self) -> None:
        """Ends all faults, a missing plug too."""
        self.slave.replies = self._answers
        self.replug()
