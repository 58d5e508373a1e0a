"""The fixture `gpio_chip`: lines in software."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulated_devices import SimulatedGpio

from ..movable_clock import is_movable, now_ns
from ..transcript import Transcript

LINES = tuple(f"GPIO{number}" for number in range(28))
"""As on a Raspberry Pi."""
_WAIT_S = 30.0


class _NotingGpio(SimulatedGpio):
    """Chips whose lines are noted when they are driven."""

    def __init__(self, path: Path, transcript: Transcript) -> None:
        super().__init__(path, now_ns if is_movable() else time.monotonic_ns)
        self._transcript = transcript

    def drive(self, line: str, level: int | None, at_ns: int | None = None) -> None:
        self._transcript.note("gpio_chip", f"{line} is {'released' if level is None else f'driven {level}'}")
        super().drive(line, level, at_ns)


class GpioChipFixture:
    """The chip; a service reaches it by `settings`.

    Parameters:
        folder: for its socket.
        transcript: of the test.
        lines: their names.
    """

    def __init__(self, folder: Path, transcript: Transcript, lines: Sequence[str] = LINES) -> None:
        self.gpio: SimulatedGpio = _NotingGpio(folder / "gpio", transcript)
        self._transcript, self._changed = transcript, asyncio.Event()
        self.gpio.add("simulated", lines).on_level = self._on_level

    @property
    def settings(self) -> dict[str, Any]:
        """Members of a service's settings by which it reaches these lines."""
        return {"gpio": {"path": f"sim:{self.gpio.path}"}}

    def drive(self, line: str, level: int | None) -> None:
        """Drives a line high (1) or low (0) from outside, or releases it (None). Raises KeyError."""
        self.gpio.drive(line, level)

    def pulses(self, line: str, rate_hz: float, count: int) -> asyncio.Task[None]:
        """A train of pulses, half of the time high; await it for its end."""
        return self.gpio.pulses(line, rate_hz, count)

    def level(self, line: str) -> int:
        """The level at a line. Raises KeyError."""
        return self.gpio.level(line)

    async def wait_for(self, line: str, level: int, timeout_s: float = _WAIT_S) -> None:
        """Waits until a line has this level, as of an output. Raises AssertionError after so many seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.level(line) != level:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{line} is {self.level(line)}, not {level}, after {timeout_s:g} s") from None

    def unplug(self) -> None:
        """Takes the chip away (ENODEV): its lines are free."""
        self._transcript.note("gpio_chip", "unplugged")
        self.gpio.unplug()

    def replug(self) -> None:
        """Brings the chip back."""
        self._transcript.note("gpio_chip", "plugged in")
        self.gpio.replug()

    def stall(self, seconds: float) -> None:
        """Answers come so much later."""
        self._transcript.note("gpio_chip", f"answers {seconds:g} s late")
        self.gpio.answer_delay_s = seconds

    def heal(self) -> None:
        """Ends all faults, a missing plug too."""
        self.gpio.answer_delay_s = 0.0
        self.replug()

    def _on_level(self, line: str, level: int) -> None:
        self._transcript.note("gpio_chip", f"{line} is set to {level}")
        self._changed.set()
