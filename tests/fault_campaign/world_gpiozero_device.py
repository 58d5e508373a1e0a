"""gpiozero_device under faults of its chip: a button, an HC-SR04, a converter, and a lamp that is commanded."""

import asyncio
import contextlib

from device_bridge import Command
from gpiozero_device.emulator import DEVICES, LINES
from gpiozero_device.emulator import World as Lines
from gpiozero_device.service import GpiozeroDevice
from simulated_devices import SimulatedGpio

from ..movable_clock import now
from .bench import World
from .gpio_worlds import TakenLine

CLOCK = "real"


class GpiozeroWorld(World):
    """Devices whose truth is known for as long as a reading may be about it."""

    settle_s = 1.5
    longest_s = 0.6
    recovery_s = 60.0
    _ABOUT_S = 3.0
    """So long a reading may be on its way, or be the median of what was measured."""

    def __init__(self, gpio, lines):
        one = {"queue_len": 3, "interval": 0.1}
        devices = [
            {"name": "level", **DEVICES["level"], **one},
            {"name": "button", "device": "Button", "pin": "GPIO17"},
            {"name": "poti", **DEVICES["poti"], "interval": 0.2, "max_voltage": 1.0},
            {"name": "lamp", "device": "LED", "pin": "GPIO22"},
        ]
        super().__init__(GpiozeroDevice, gpio={"path": f"sim:{gpio.path}"}, devices=devices, watchdog=False)
        self._gpio, self._lines, self._taken = gpio, lines, TakenLine(gpio)
        self._history = {"level": [(0.0, 1.0)], "button": [(0.0, 1)], "poti": [(0.0, 0.0)], "lamp": [(0.0, 0)]}
        self.faults = {
            "distance": lambda chance: self._is("level", chance.choice((0.03, 0.9, 3.9, None))),
            "press": lambda chance: self._is("button", chance.randrange(2)),
            "voltage": lambda chance: self._is("poti", chance.choice((0.0, 0.25, 0.75))),
            "command": self._command,
            "absence": lambda _: gpio.disconnect(),
            "delay": lambda chance: setattr(gpio, "answer_delay_s", chance.choice((0.002, 0.05))),
            "busy": lambda _: self._hold(),
        }
        self._is("button", 1)

    def _is(self, name, value):
        self._history[name].append((now(), value))
        if name == "level":
            self._lines.distance_m = value
        elif name == "poti":
            self._lines.converter.ratios[0] = value
        else:
            self._gpio.drive("GPIO17", value)

    def _command(self, chance):
        wanted = chance.randrange(2)
        self._history["lamp"].append((now(), wanted))
        command = Command(name="lamp", parameters={"value": bool(wanted)})
        asyncio.ensure_future(self.trial.supervisor.execute(command)).add_done_callback(lambda asked: asked.result())

    def _hold(self):
        """Somebody else takes the button's line, as soon as it is free."""
        self._taken.take("GPIO17")

    def heal(self):
        self._gpio.answer_delay_s = 0.0
        self._taken.release()

    def is_right(self, reading):
        name, _, part = reading.name.partition("/")
        if part == "held":
            return True
        history = self._history[name]
        recent = [value for at, value in history if at >= now() - self._ABOUT_S]
        before = [value for at, value in history if at < now() - self._ABOUT_S][-1:]
        possible = [value for value in (*before, *recent) if value is not None]
        if part == "in_range":
            return any(reading.value is (value < 0.3) for value in possible)
        if name == "button":
            return any(reading.value is not bool(value) for value in possible)
        if name == "lamp":  # a chip that was away makes it safe
            return not reading.value or any(possible)
        return any(abs(reading.value - value) < 0.01 for value in possible)


@contextlib.asynccontextmanager
async def _on_chip(folder, chance):
    gpio = SimulatedGpio(folder / "gpio")
    gpio.add("pinctrl-bcm2711", LINES)
    lines = Lines(gpio)
    async with gpio.serving():
        yield GpiozeroWorld(gpio, lines)


WORLDS = {"gpiozero_device:lines": _on_chip}
