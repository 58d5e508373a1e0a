"""DEVICE in software, on an emulated GPIO line."""

from __future__ import annotations

import asyncio
import itertools

from simulated_devices import SimulatedGpio, run_gpio_emulator

LINE = "GPIO17"


async def play(gpio: SimulatedGpio) -> None:
    """Opens and closes the contact."""
    for level in itertools.cycle((1, 0)):
        gpio.drive(LINE, level)
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    run_gpio_emulator("my_device", __doc__, [LINE], play, {"input": {"line": LINE, "active_low": True}})
