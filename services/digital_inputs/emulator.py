"""Devices at the inputs: a button that is pressed, a motion detector, a water meter, a motor with encoder."""

from __future__ import annotations

import argparse
import asyncio
import random

from simulated_devices import SimulatedGpio, add_socket_option, emulator_parser, play_until_stopped, socket_of

PI_LINES = ["ID_SDA", "ID_SCL", *(f"GPIO{n}" for n in range(2, 28))]
BUTTON, MOTION, WATER, MOTOR_A, MOTOR_B = "GPIO17", "GPIO27", "GPIO22", "GPIO23", "GPIO24"
_FASTEST_HZ = 2000.0
_BOUNCES_S = (0.001, 0.0005, 0.002, 0.0008)


class World:
    """What happens at the lines.

    Parameters:
        gpio: where they are.
        seed: repeats the same bounces.
    """

    def __init__(self, gpio: SimulatedGpio, seed: int = 1) -> None:
        self.gpio = gpio
        self.flow_hz = 5.0
        """Pulses of the water meter in a second."""
        self.turns_hz = 2.0
        """Periods of the encoder in a second; negative: backwards."""
        self._random = random.Random(seed)

    def execute(self, text: str) -> str:
        """Does what one line of the control input says, and returns the result.

        `set flow HZ` (pulses of the water meter), `set turns HZ` (of the encoder, negative: backwards); and what
        SimulatedGpio executes: `drive LINE 1|0|-`, `pulses LINE RATE COUNT`, `disconnect`.
        """
        match text.split():
            case ["set", "flow" | "turns" as what, value]:
                try:
                    rate = float(value)
                except ValueError:
                    return f"{value!r} is no number"
                if not abs(rate) <= _FASTEST_HZ or (what == "flow" and rate <= 0):
                    return f"{what} {value}: up to {_FASTEST_HZ:g} Hz; a flow is more than 0"
                setattr(self, f"{what}_hz", rate)
                return "ok"
        return self.gpio.execute(text)

    async def run(self) -> None:
        """Runs until cancelled."""
        await asyncio.gather(self._button(), self._motion(), self._water(), self._motor())

    async def press(self, line: str = BUTTON, level: int = 0) -> None:
        """Moves a contact, which bounces."""
        for pause_s in _BOUNCES_S:
            self.gpio.drive(line, level)
            await asyncio.sleep(pause_s * self._random.random())
            self.gpio.drive(line, 1 - level)
            await asyncio.sleep(pause_s * self._random.random())
        self.gpio.drive(line, level)

    async def _button(self) -> None:
        self.gpio.drive(BUTTON, 1)
        while True:
            await asyncio.sleep(1.5)
            await self.press()
            await asyncio.sleep(0.5)
            await self.press(level=1)

    async def _motion(self) -> None:
        level = 0
        while True:
            self.gpio.drive(MOTION, level)
            level = 1 - level
            await asyncio.sleep(3.0)

    async def _water(self) -> None:
        while True:
            await self.gpio.pulses(WATER, self.flow_hz, max(1, round(self.flow_hz / 10)))

    async def _motor(self) -> None:
        phase = 0
        while True:
            phase += 1 if self.turns_hz > 0 else -1
            a, b = ((0, 0), (0, 1), (1, 1), (1, 0))[phase % 4]
            self.gpio.drive(MOTOR_A, a)
            self.gpio.drive(MOTOR_B, b)
            await asyncio.sleep(1 / max(abs(self.turns_hz) * 4, 0.1))


def settings_for(gpio: SimulatedGpio) -> dict[str, object]:
    """The settings by which a service sees this world."""
    return {
        "gpio": {"path": f"sim:{gpio.path}"},
        "inputs": [
            {"kind": "contact", "name": "button", "line": BUTTON, "active_low": True, "debounce": 0.02},
            {"kind": "contact", "name": "motion", "line": "BOARD13"},
            {
                "kind": "counter",
                "name": "water",
                "line": WATER,
                "interval": 1,
                "per_pulse": 0.001,
                "unit": "m3",
                "rate_unit": "l/s",
                "rate_scale": 1000,
            },
            {"kind": "encoder", "name": "motor", "line": MOTOR_A, "line_b": MOTOR_B, "interval": 1},
        ],
    }


async def _run(options: argparse.Namespace) -> None:
    with socket_of(options) as path:
        gpio = SimulatedGpio(path)
        gpio.add("pinctrl-bcm2711", PI_LINES)
        async with gpio.serving():
            world = World(gpio)
            await play_until_stopped(settings_for(gpio), world.run(), world)


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach it, then plays until SIGTERM or SIGINT."""
    parser = emulator_parser("digital_inputs.emulator", __doc__, World)
    add_socket_option(parser)
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
