"""Devices at the outputs: a relay with a read-back contact, a lamp, a fan on PWM, a shutter's motor."""

from __future__ import annotations

import argparse
import asyncio

from simulated_devices import SimulatedGpio, add_socket_option, emulator_parser, play_until_stopped, socket_of

LINES = ["ID_SDA", "ID_SCL", *(f"GPIO{n}" for n in range(2, 28))]
RELAY, FEEDBACK, LAMP, FAN, UP, DOWN, THERMOSTAT = (f"GPIO{n}" for n in (17, 27, 22, 12, 5, 6, 4))


def wire(gpio: SimulatedGpio) -> None:
    """Connects the relay's second contact with an input."""
    gpio.chips["gpiochip0"].on_level = lambda line, level: gpio.drive(FEEDBACK, level) if line == RELAY else None


def settings_for(gpio: SimulatedGpio) -> dict[str, object]:
    """The settings by which a service sees this world."""
    return {
        "gpio": {"path": f"sim:{gpio.path}"},
        "outputs": [
            {"name": "relay", "line": RELAY, "min_on": 0.2},
            {"name": "lamp", "line": LAMP},
            {"name": "fan", "line": FAN, "kind": "pwm"},
            {"name": "up", "line": UP, "group": "shutter"},
            {"name": "down", "line": DOWN, "group": "shutter"},
        ],
        "inputs": [
            {"kind": "contact", "name": "relay_feedback", "line": FEEDBACK},
            {"kind": "contact", "name": "thermostat", "line": THERMOSTAT},
        ],
        "rules": [{"reading": "thermostat", "output": "lamp", "on_when": True}],
        "report_interval": 2,
    }


async def _thermostat(gpio: SimulatedGpio) -> None:
    level = 0
    while True:
        await asyncio.sleep(1.5)
        level = 1 - level
        gpio.drive(THERMOSTAT, level)


async def _run(options: argparse.Namespace) -> None:
    with socket_of(options) as path:
        gpio = SimulatedGpio(path)
        gpio.add("pinctrl-bcm2711", LINES)
        wire(gpio)
        async with gpio.serving():
            await play_until_stopped(settings_for(gpio), _thermostat(gpio), gpio)


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach it, then plays until SIGTERM or SIGINT."""
    parser = emulator_parser("digital_outputs.emulator", __doc__, SimulatedGpio)
    add_socket_option(parser)
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
