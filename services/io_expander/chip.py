"""MCP23017 and PCF8574: what is sent to them, and where their lines are in it.

Microchip MCP23017, DS20001952D: registers table 3-1 (IOCON.BANK = 0), power-on table 3-3. NXP PCF8574, product data
sheet rev. 5: quasi-bidirectional lines section 8.1, where writing 1 makes a line an input with a weak pull-up.
"""

from __future__ import annotations

from typing import Protocol

from device_bridge.buses import I2cDevice

IODIR, IPOL, GPINTEN, INTCON, IOCON, GPPU, GPIO, OLAT = 0x00, 0x02, 0x04, 0x08, 0x0A, 0x0C, 0x12, 0x14
"""Registers of port A; that of port B follows each."""
IOCON_WORD = 0x4444
"""One interrupt line for both ports (MIRROR), open-drain (ODR); the register is there twice."""


class Expander(Protocol):
    """One kind of chip. Bits are lines: bit 0 is the first one."""

    lines: tuple[str, ...]
    default_address: int

    async def set_up(self, device: I2cDevice, inputs: int, pull_ups: int, outputs: int, watched: int) -> None:
        """Makes lines inputs, and all others outputs with these levels, without a glitch. Raises DeviceError.

        Parameters:
            device: the chip.
            inputs: lines that are not driven.
            pull_ups: those of them with a resistor.
            outputs: levels of the others.
            watched: inputs whose changes pull the chip's interrupt line low, until levels are read.
        """

    async def levels(self, device: I2cDevice) -> int:
        """The levels at all lines. Raises DeviceError."""

    def latch(self, outputs: int) -> bytes:
        """What is written to give the outputs these levels."""

    async def drive(self, device: I2cDevice, outputs: int) -> None:
        """Gives the outputs these levels. Raises DeviceError."""

    async def kept(self, device: I2cDevice) -> bool:
        """Whether it still is as it was set up; one that cannot tell is made so again. Raises DeviceError."""


class Mcp23017:
    """16 lines, A0 to A7 and B0 to B7."""

    lines = tuple(f"{port}{line}" for port in "AB" for line in range(8))
    default_address = 0x20

    def __init__(self) -> None:
        self._set_up = {IODIR: 0xFFFF}

    async def set_up(self, device: I2cDevice, inputs: int, pull_ups: int, outputs: int, watched: int) -> None:
        """Levels before directions: an output has its level from its first instant on."""
        self._set_up = {IOCON: IOCON_WORD, INTCON: 0, IPOL: 0, OLAT: outputs, GPPU: pull_ups, IODIR: inputs}
        self._set_up |= {GPINTEN: watched}
        for register, value in self._set_up.items():
            await device.write_word(register, value)

    async def levels(self, device: I2cDevice) -> int:
        """Both ports in one transfer."""
        return await device.read_word(GPIO)

    def latch(self, outputs: int) -> bytes:
        """Both ports in one transfer."""
        return bytes([OLAT]) + outputs.to_bytes(2, "little")

    async def drive(self, device: I2cDevice, outputs: int) -> None:
        """Both ports in one transfer."""
        await device.write(self.latch(outputs))
        self._set_up[OLAT] = outputs

    async def kept(self, device: I2cDevice) -> bool:
        """All registers that matter, read back in one transfer."""
        registers = await device.write_read(bytes([IODIR]), OLAT + 2)
        return all(
            int.from_bytes(registers[register : register + 2], "little") == value
            for register, value in self._set_up.items()
        )


class Pcf8574:
    """8 lines, P0 to P7; a PCF8574A is the same at 0x38."""

    lines = tuple(f"P{line}" for line in range(8))
    default_address = 0x20

    def __init__(self) -> None:
        self._inputs, self._outputs = 0xFF, 0

    async def set_up(self, device: I2cDevice, inputs: int, pull_ups: int, outputs: int, watched: int) -> None:
        """One byte is all there is; its pull-ups cannot be switched off."""
        self._inputs = inputs
        await self.drive(device, outputs)

    async def levels(self, device: I2cDevice) -> int:
        """All lines."""
        return (await device.read(1))[0]

    def latch(self, outputs: int) -> bytes:
        """Inputs are written as 1."""
        return bytes([self._inputs | outputs])

    async def drive(self, device: I2cDevice, outputs: int) -> None:
        """All lines in one transfer."""
        await device.write(self.latch(outputs))
        self._outputs = outputs

    async def kept(self, device: I2cDevice) -> bool:
        """It has nothing to tell by, so it is written again."""
        await self.drive(device, self._outputs)
        return True


WAS_RESET = "it was reset: its supply was interrupted"
EXPANDERS: dict[str, type[Mcp23017 | Pcf8574]] = {"mcp23017": Mcp23017, "pcf8574": Pcf8574}
