"""An MCP23017 or PCF8574 on an emulated bus, with whatever is wired to its lines."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable

from simulated_devices import (
    RegisterChip,
    SimulatedI2cBus,
    add_bus_options,
    bus_of,
    emulator_parser,
    serve_until_stopped,
)

from .chip import EXPANDERS, GPINTEN, GPIO, GPPU, IODIR, OLAT, Mcp23017, Pcf8574


class _Wiring:
    """What drives lines from outside, against which an output or a pull-up is weaker."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        self._lines = lines
        self.driven = self.high = 0
        self.on_change: Callable[[], None] = lambda: None

    def set(self, line: str, value: float) -> None:
        """1 and 0 drive a line, -1 leaves it. Raises KeyError for an unknown line, ValueError for another value."""
        if line not in self._lines:
            raise KeyError(f"{line} (known are {', '.join(self._lines)})")
        if value not in (0, 1, -1):
            raise ValueError(f"{line} {value:g}: a line is 1, 0 or -1 (nothing drives it)")
        bit = 1 << self._lines.index(line)
        self.driven = self.driven & ~bit if value < 0 else self.driven | bit
        self.high = self.high | bit if value > 0 else self.high & ~bit
        self.on_change()

    def over(self, levels: int) -> int:
        """The levels at the lines, over those that the chip itself would give them."""
        return levels & ~self.driven | self.high & self.driven


class Mcp23017Chip(RegisterChip):
    """An MCP23017; a line that nothing drives and that has no pull-up reads low."""

    def __init__(self) -> None:
        self.wiring = _Wiring(Mcp23017.lines)
        self.wiring.on_change = self._changed
        self.on_interrupt: Callable[[int], None] = lambda level: None
        """Called with the level of the interrupt line."""
        self._read = 0
        super().__init__({IODIR: 0xFF, IODIR + 1: 0xFF})

    def set(self, quantity: str, value: float) -> None:
        """What drives a line from outside: 1, 0, or -1 for nothing."""
        self.wiring.set(quantity, value)

    def word(self, register: int) -> int:
        """A register of both ports."""
        return self.memory[register] | self.memory[register + 1] << 8

    @property
    def levels(self) -> int:
        """The levels at the lines."""
        inputs = self.word(IODIR)
        return self.wiring.over(self.word(OLAT) & ~inputs | self.word(GPPU) & inputs)

    def _changed(self) -> None:
        if (self.levels ^ self._read) & self.word(GPINTEN):
            self.on_interrupt(0)

    def load(self, register: int) -> int:
        """Levels where they are asked for; reading them ends an interrupt (section 3.6.4)."""
        if register in (GPIO, GPIO + 1):
            self._read = self.levels
            self.on_interrupt(1)
            return self.levels >> 8 * (register - GPIO) & 0xFF
        return super().load(register)

    def store(self, register: int, value: int) -> None:
        """Writing to levels writes to the latches (section 3.5.10); what is written beyond the last is lost."""
        at = register + OLAT - GPIO if register in (GPIO, GPIO + 1) else register
        if at < OLAT + 2:
            super().store(at, value)

    def after(self, register: int) -> int:
        """From the last register to the first."""
        return (register + 1) % (OLAT + 2)


class Pcf8574Chip:
    """A PCF8574."""

    def __init__(self) -> None:
        self.wiring = _Wiring(Pcf8574.lines)
        self.wiring.on_change = self._changed
        self.on_interrupt: Callable[[int], None] = lambda level: None
        """Called with the level of the interrupt line."""
        self._read = 0xFF
        self.reset()

    def _changed(self) -> None:
        self.on_interrupt(int(self.levels == self._read))

    def reset(self) -> None:
        """All lines are inputs."""
        self._latch = 0xFF

    def set(self, quantity: str, value: float) -> None:
        """What drives a line from outside: 1, 0, or -1 for nothing."""
        self.wiring.set(quantity, value)

    @property
    def levels(self) -> int:
        """The levels at the lines."""
        return self.wiring.over(self._latch)

    def write(self, data: bytes) -> None:
        """The last byte counts."""
        if data:
            self._latch = data[-1]

    def read(self, count: int) -> bytes:
        """Levels, over and over; ends an interrupt (section 8.4)."""
        self._read = self.levels
        self.on_interrupt(1)
        return bytes([self.levels]) * count


CHIPS: dict[str, type[Mcp23017Chip | Pcf8574Chip]] = {"mcp23017": Mcp23017Chip, "pcf8574": Pcf8574Chip}
_TOGGLE_S = 1.0


async def _run(options: argparse.Namespace) -> None:
    lines = EXPANDERS[options.profile].lines
    contact, door, relay = lines[0], lines[1], lines[-1]
    with bus_of(options) as bus:
        chip = CHIPS[options.profile]()
        bus.add("expander", 0x20, chip)

        async def somebody_at_the_contact() -> None:
            closed = False
            while True:
                await asyncio.sleep(_TOGGLE_S)
                closed = not closed
                chip.set(contact, 0 if closed else -1)

        pressing = asyncio.ensure_future(somebody_at_the_contact())
        try:
            settings = {
                "chip": options.profile,
                "inputs": [
                    {"line": contact, "name": "contact", "active_low": True},
                    {"line": door, "name": "door", "active_low": True},
                ],
                "outputs": [{"line": relay, "name": "relay"}],
            }
            await serve_until_stopped(settings, bus)
        finally:
            pressing.cancel()


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach it, then plays until SIGTERM or SIGINT."""
    parser = emulator_parser("io_expander.emulator", __doc__, SimulatedI2cBus)
    add_bus_options(parser)
    parser.add_argument("--profile", choices=tuple(CHIPS), default="mcp23017", help="chip (default mcp23017)")
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
