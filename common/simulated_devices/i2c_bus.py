"""An emulated I2C bus behind a UNIX socket, with chips, multiplexers, and faults on demand.

What is on the socket is described with `SimulatedAdapter` of `device_bridge.buses.i2c.adapter`. Errors have the
numbers that the kernel gives (Documentation/i2c/fault-codes.rst).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import operator
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .command import execute_command, is_on
from .i2c_chip import I2cChip, Multiplexer, NoAcknowledge, RegisterChip, Stranger
from .message_server import MessageServer, read_message, write_message

Message = bytes | int

_LONGEST_STRETCH_S = 60.0


@dataclass
class Place:
    """A chip on the bus and its faults."""

    name: str
    address: int
    chip: I2cChip
    behind: tuple[int, int] | None
    """Address and channel of the multiplexer before it."""
    absent: bool = False
    corrupt: float = 0.0
    """Share of reads with one bit flipped."""
    stretch_s: float = 0.0
    stranger: I2cChip | None = field(default=None, repr=False)

    @property
    def answering(self) -> I2cChip:
        """The chip that answers at this address."""
        return self.stranger or self.chip


class SimulatedI2cBus:
    """A bus with chips.

    Parameters:
        path: of the socket to serve; `sim:` and this path is the bus for a service.
        seed: of the damage done to bytes.
    """

    def __init__(self, path: Path, seed: int = 1) -> None:
        self.path = path
        self.places: dict[str, Place] = {}
        self.transfers = 0
        self.corrupted = 0
        self.disconnects = 0
        self.stuck = False
        """Whether SDA is held low: every transfer fails."""
        self.unplugged = False
        """Whether the adapter is away."""
        self._multiplexers: dict[int, Multiplexer] = {}
        self._random = random.Random(seed)  # noqa: S311 - repeatable damage, not a secret
        self._busy = asyncio.Lock()
        self._server = MessageServer(path, self._serve)
        self._commands: dict[str, tuple[int, Callable[..., object]]] = {
            "set": (2, self._set),
            "absent": (2, lambda chip, word: setattr(self._place(chip), "absent", is_on(word))),
            "corrupt": (2, lambda chip, share: setattr(self._place(chip), "corrupt", _within(share, 1))),
            "stretch": (2, lambda chip, s: setattr(self._place(chip), "stretch_s", _within(s, _LONGEST_STRETCH_S))),
            "swap": (2, lambda chip, word: self.swap(chip, Stranger() if is_on(word) else None)),
            "flip": (3, lambda chip, register, bit: self.flip(chip, int(register, 0), int(bit))),
            "reset": (1, lambda chip: self._place(chip).chip.reset()),
            "disconnect": (0, self.disconnect),
            "unplug": (0, self.unplug),
            "replug": (0, self.replug),
            "stuck": (1, lambda word: setattr(self, "stuck", is_on(word))),
        }

    def add(self, name: str, address: int, chip: I2cChip, behind: tuple[int, int] | None = None) -> None:
        """Puts a chip on the bus, or behind a multiplexer's channel; the multiplexer comes with it.

        Raises ValueError when name or address are taken.
        """
        if name in self.places or any((p.address, p.behind) == (address, behind) for p in self.places.values()):
            raise ValueError(f"{name} at 0x{address:02x}: name or address is taken")
        if behind is not None:
            self._multiplexers.setdefault(behind[0], Multiplexer())
        self.places[name] = Place(name, address, chip, behind)

    def swap(self, name: str, stranger: I2cChip | None) -> None:
        """Has another chip answer in place of this one, or itself again."""
        self._place(name).stranger = stranger

    def flip(self, name: str, register: int, bit: int) -> None:
        """Flips a bit in a chip's memory, until it is reset."""
        chip = self._place(name).chip
        if not isinstance(chip, RegisterChip) or not (0 <= register < 256 and 0 <= bit < 8):
            raise ValueError(f"{name} has no register {register} with a bit {bit} to flip")
        chip.memory[register] ^= 1 << bit

    def disconnect(self) -> None:
        """Drops all connections, as when an adapter is unplugged; clients may reconnect."""
        self.disconnects += 1
        self._server.disconnect()

    def unplug(self) -> None:
        """Takes the adapter away, which feeds the chips."""
        self.unplugged = True
        self.disconnect()

    def replug(self) -> None:
        """Brings the adapter back; its chips are as after power-on."""
        for place in self.places.values():
            place.chip.reset()
        self.unplugged = False

    def transfer(self, address: int, messages: Sequence[Message]) -> list[bytes]:
        """Does one transfer at once. Raises OSError with the kernel's fault codes."""
        self.transfers += 1
        if self.unplugged:
            raise OSError(errno.ENODEV, "the adapter is unplugged")
        if self.stuck:
            raise OSError(errno.ETIMEDOUT, "SDA is low")
        present = self._at(address)
        chips: list[I2cChip] = [place.answering for place in present]
        if address in self._multiplexers:
            chips.append(self._multiplexers[address])
        if not chips:
            raise OSError(errno.EREMOTEIO, "no chip acknowledges")
        answers = []
        try:
            for message in messages:
                if isinstance(message, int):
                    read = [chip.read(message) for chip in chips]
                    # The lines are open-drain: where several chips answer, a zero wins.
                    data = bytes(functools.reduce(operator.and_, bits) for bits in zip(*read, strict=True))
                    answers.append(self._damaged(data, max((place.corrupt for place in present), default=0.0)))
                else:
                    for chip in chips:
                        chip.write(message)
        except NoAcknowledge:
            raise OSError(errno.EREMOTEIO, "no acknowledge") from None
        return answers

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[SimulatedI2cBus]:
        """Serves the socket within the block."""
        async with self._server.serving():
            yield self

    async def play(self) -> None:
        """Waits until cancelled: chips only answer."""
        await asyncio.Event().wait()

    def execute(self, text: str) -> str:
        """Executes one line of the control input and returns the result.

        `set CHIP/QUANTITY VALUE`, `absent|swap CHIP on|off`, `corrupt CHIP SHARE`, `stretch CHIP SECONDS`,
        `flip CHIP REGISTER BIT`, `reset CHIP`, `stuck on|off`, `disconnect`,
        `unplug`, `replug`.
        """
        return execute_command(text, self._commands, also=self.places)

    def _set(self, quantity: str, value: str) -> None:
        name, _, quantity = quantity.rpartition("/")
        self._place(name).chip.set(quantity, float(value))

    def _place(self, name: str) -> Place:
        if not name and len(self.places) == 1:
            return next(iter(self.places.values()))
        return self.places[name]

    def _at(self, address: int) -> list[Place]:
        return [place for place in self.places.values() if place.address == address and self._reachable(place)]

    def _reachable(self, place: Place) -> bool:
        if place.absent or place.behind is None:
            return not place.absent
        mux, channel = place.behind
        return bool(self._multiplexers[mux].channels >> channel & 1)

    def _damaged(self, data: bytes, share: float) -> bytes:
        if not data or self._random.random() >= share:
            return data
        self.corrupted += 1
        bit = self._random.randrange(len(data) * 8)
        return bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(data))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            address, messages, timeout_s = await read_message(reader, tuple[int, list[Message], float])
            await write_message(writer, await self.answer(address, messages, timeout_s))

    async def answer(self, address: int, messages: Sequence[Message], timeout_s: float) -> list[bytes] | int:
        """Does one transfer, in the time that it takes: what was read, or an error number."""
        async with self._busy:
            stretch_s = max((place.stretch_s for place in self._at(address)), default=0.0)
            if stretch_s:
                await asyncio.sleep(min(stretch_s, timeout_s))
            if stretch_s > timeout_s:
                return errno.ETIMEDOUT  # the adapter has timed out, and the bus is free
            try:
                return self.transfer(address, messages)
            except OSError as error:
                return error.errno or errno.EIO


def _within(text: str, most: float) -> float:
    value = float(text)
    if not 0 <= value <= most:
        raise ValueError(f"{text} is not from 0 to {most:g}")
    return value
