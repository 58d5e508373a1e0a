"""I2C chips as a bus sees them: bytes written to them, bytes read from them. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class NoAcknowledge(Exception):  # noqa: N818 - the bus's own term
    """The chip does not acknowledge its address, or a byte."""


class I2cChip(Protocol):
    """The interface of an emulated chip."""

    def write(self, data: bytes) -> None:
        """Handles what a master writes in one message. Raises NoAcknowledge."""

    def read(self, count: int) -> bytes:
        """Returns what a master reads in one message. Raises NoAcknowledge."""

    def reset(self) -> None:
        """Resets to the state after power-on."""

    def set(self, quantity: str, value: float) -> None:
        """Fixes a physical value in its unit. Raises KeyError for an unknown quantity, ValueError out of range."""


class RegisterChip:
    """A chip with registers of one byte: the first byte written is the pointer, which then counts up.

    Parameters:
        power_on: contents after power-on; 0 for registers not named.
        write_pairs: what follows the first byte of a write are more pairs of register and value, not values for the
            next registers (as with Bosch's sensors).
    """

    def __init__(self, power_on: Mapping[int, int], *, write_pairs: bool = False) -> None:
        self._power_on = dict(power_on)
        self._write_pairs = write_pairs
        self.memory = bytearray(256)
        self.pointer = 0
        self.reset()

    def reset(self) -> None:
        """Resets to the state after power-on."""
        self.memory[:] = bytes(self._power_on.get(register, 0) for register in range(256))
        self.pointer = 0

    def write(self, data: bytes) -> None:
        """Sets the pointer, and registers if more than one byte comes."""
        if not data:
            return
        self.pointer = data[0]
        if self._write_pairs:
            for at in range(0, len(data) - 1, 2):
                self.store(data[at], data[at + 1])
            return
        for value in data[1:]:
            self.store(self.pointer, value)
            self.pointer = self.after(self.pointer)

    def read(self, count: int) -> bytes:
        """Returns registers from the pointer on."""
        data = bytearray()
        for _ in range(count):
            data.append(self.load(self.pointer))
            self.pointer = self.after(self.pointer)
        return bytes(data)

    def load(self, register: int) -> int:
        """A register as it reads now; subclasses override it for some."""
        return self.memory[register]

    def store(self, register: int, value: int) -> None:
        """Writes a register; subclasses override it for some."""
        self.memory[register] = value

    def after(self, register: int) -> int:
        """The next value of the pointer."""
        return (register + 1) & 0xFF

    def set(self, quantity: str, value: float) -> None:
        """Has no quantities of its own."""
        raise KeyError(quantity)


class Multiplexer:
    """A TCA9548A: one register, a bit for each of its eight channels (TI SCPS207, section 8.6)."""

    def __init__(self) -> None:
        self.channels = 0

    def write(self, data: bytes) -> None:
        """Opens channels; of several bytes the last counts."""
        if data:
            self.channels = data[-1]

    def read(self, count: int) -> bytes:
        """Which channels are open."""
        return bytes([self.channels]) * count

    def reset(self) -> None:
        """All channels are closed."""
        self.channels = 0

    def set(self, quantity: str, value: float) -> None:
        """Measures nothing."""
        raise KeyError(quantity)


class Stranger:
    """A chip that is not the expected one: it acknowledges everything and answers with one byte over and over."""

    def __init__(self, answer: int = 0x5A) -> None:
        self._answer = answer

    def write(self, data: bytes) -> None:
        """Accepts everything."""

    def read(self, count: int) -> bytes:
        """Returns one byte over and over."""
        return bytes([self._answer]) * count

    def reset(self) -> None:
        """Has no state."""

    def set(self, quantity: str, value: float) -> None:
        """Measures nothing."""
        raise KeyError(quantity)
