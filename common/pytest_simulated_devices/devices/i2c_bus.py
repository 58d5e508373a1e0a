"""The fixture `i2c_bus`: a bus with chips in software."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from device_bridge.buses import attached
from simulated_devices import I2cChip, SimulatedI2cBus

from ..movable_clock import is_movable
from ..transcript import Transcript

C = TypeVar("C", bound=I2cChip)
Message = bytes | int


class _NotingBus(SimulatedI2cBus):
    """A bus whose transfers are noted."""

    def __init__(self, path: Path, transcript: Transcript) -> None:
        super().__init__(path)
        self._transcript = transcript

    async def answer(self, address: int, messages: Sequence[Message], timeout_s: float) -> list[bytes] | int:
        answer = await super().answer(address, messages, timeout_s)
        asked = " ".join(f"read {each}" if isinstance(each, int) else f"write {each.hex(' ')}" for each in messages)
        answered = errno.errorcode.get(answer, str(answer)) if isinstance(answer, int) else _shown(answer)
        self._transcript.note("i2c_bus", f"0x{address:02x} {asked}: {answered}")
        return answer


def _shown(read: list[bytes]) -> str:
    return " | ".join(data.hex(" ") for data in read) or "acknowledged"


class I2cBusFixture:
    """The bus; a service reaches it by `settings`.

    Parameters:
        folder: for its socket.
        transcript: of the test.
    """

    def __init__(self, folder: Path, transcript: Transcript) -> None:
        self.bus: SimulatedI2cBus = _NotingBus(folder / "i2c", transcript)
        self._transcript = transcript

    @property
    def settings(self) -> dict[str, Any]:
        """Members of a service's settings by which it reaches this bus."""
        return {"bus": {"path": f"sim:{self.bus.path}"}}

    def plug_in(self, chip: C, address: int, *, name: str = "", behind: tuple[int, int] | None = None) -> C:
        """Puts a chip on the bus, and returns it.

        Parameters:
            chip: what answers.
            address: 7 bits.
            name: for faults of this chip alone; by default `chip`, `chip1`, `chip2`.
            behind: address and channel of a multiplexer (TCA9548A), which comes with it.
        """
        count = len(self.bus.places)
        self.bus.add(name or (f"chip{count}" if count else "chip"), address, chip, behind)
        return chip

    def unplug(self) -> None:
        """Takes the adapter away, chips and all (ENODEV)."""
        self.execute("unplug")

    def replug(self) -> None:
        """Brings the adapter back; its chips are as after power-on."""
        self.execute("replug")

    def no_acknowledge(self, chip: str = "") -> None:
        """A chip no longer acknowledges its address (EREMOTEIO); all chips without a name."""
        self._each("absent {} on", chip)

    def corrupt(self, share: float = 1.0, chip: str = "") -> None:
        """Flips one bit in this share of what is read."""
        self._each(f"corrupt {{}} {share}", chip)

    def stall(self, seconds: float | None = None, chip: str = "") -> None:
        """Holds SDA low, so that every transfer fails (ETIMEDOUT), or stretches the clock for so many seconds."""
        if seconds is None:
            self.execute("stuck on")
        else:
            self._each(f"stretch {{}} {seconds}", chip)

    def reset(self, chip: str = "") -> None:
        """Interrupts the supply of a chip for a moment."""
        self._each("reset {}", chip)

    def heal(self) -> None:
        """Ends all faults, a missing plug too; chips keep what they hold."""
        self.execute("stuck off")
        for fault in ("absent {} off", "corrupt {} 0", "stretch {} 0", "swap {} off"):
            self._each(fault, "")
        if self.bus.unplugged:
            self.replug()

    def execute(self, text: str) -> None:
        """A line of an emulator's control input, see `SimulatedI2cBus.execute`. Raises ValueError when refused."""
        self._transcript.note("i2c_bus", text)
        if (result := self.bus.execute(text)) != "ok":
            raise ValueError(f"{text}: {result}")

    def _each(self, command: str, chip: str) -> None:
        for name in [chip] if chip else list(self.bus.places):
            self.execute(command.format(name))


@contextlib.asynccontextmanager
async def reachable(bus: SimulatedI2cBus) -> AsyncIterator[SimulatedI2cBus]:
    """An emulated bus within the block: in this process on a movable clock, else behind its socket."""
    async with contextlib.AsyncExitStack() as stack:
        if is_movable():
            stack.enter_context(attached(str(bus.path), bus))
        else:
            await stack.enter_async_context(bus.serving())
        yield bus
