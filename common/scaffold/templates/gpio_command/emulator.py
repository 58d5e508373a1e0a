"""DEVICE in software, on an emulated GPIO line."""

from __future__ import annotations

import asyncio

from simulated_devices import SimulatedGpio, run_gpio_emulator

LINE = "GPIO17"


async def play(gpio: SimulatedGpio) -> None:
    """It does nothing by itself."""
    await asyncio.Event().wait()


if __name__ == "__main__":
    run_gpio_emulator("my_device", __doc__, [LINE], play, {"output": {"line": LINE}})
