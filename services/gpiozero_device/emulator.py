"""Devices of gpiozero in software, on emulated lines: an HC-SR04, a PIR, a photoresistor, an encoder, an MCP3008."""

from __future__ import annotations

import argparse
import asyncio
import math

from simulated_devices import SimulatedGpio, add_socket_option, emulator_parser, play_until_stopped, socket_of

LINES = ["ID_SDA", "ID_SCL", *(f"GPIO{n}" for n in range(2, 28))]
TRIGGER, ECHO, PIR, LIGHT, BUTTON, LAMP, DIMMED, SERVO = (f"GPIO{n}" for n in (23, 24, 4, 18, 17, 22, 12, 13))
ENCODER_A, ENCODER_B, CLOCK, MOSI, MISO, SELECT = (f"GPIO{n}" for n in (5, 6, 11, 10, 9, 8))
SPEED_OF_SOUND = 343.26
_ECHO_AFTER_NS = 450_000
_LEAST_M, _MOST_M = 0.02, 4.0
_NS = 1_000_000_000
_CONTACT_S = 0.002


class Converter:
    """An MCP3xxx on lines, in mode 0: data sheet DS21295, figure 6-1.

    Parameters:
        bits: of a conversion.
        chosen: bits after the start bit that say what is converted: 4 for MCP3004 and up, 3 for MCP3002 and MCP3202,
            0 for chips with one input, which have no start bit.
        signed: whether a sign bit comes before the others, as MCP33xx have it.
    """

    def __init__(self, bits: int = 10, chosen: int = 4, *, signed: bool = False) -> None:
        self.bits, self.chosen, self.signed = bits, chosen, signed
        self.ratios = [0.0] * 8
        """Of each input to the reference voltage."""
        self._said: list[int] | None = None
        self._out: list[int] = []

    def select(self, *, selected: bool) -> None:
        """Its CS."""
        self._said = None if self.chosen else []
        self._out = []
        if selected and not self.chosen:
            self._out = [0, 0, *self._conversion(0)]

    def clock_up(self, mosi: int) -> None:
        """It reads DIN."""
        if not self.chosen or self._out:
            return
        if self._said is not None:
            self._said.append(mosi)
        elif mosi:
            self._said = []
        if self._said is not None and len(self._said) == self.chosen:
            channel = int("".join(map(str, self._said[1 : 4 if self.chosen == 4 else 2])), 2)
            lead = [0, 0] if self.chosen == 4 else [0]
            self._out = [*lead, *self._conversion(channel)]
            self._said = []

    def clock_down(self) -> int:
        """It sets DOUT for the next reading."""
        return self._out.pop(0) if self._out else 0

    def _conversion(self, channel: int) -> list[int]:
        value = min(2**self.bits - 1, int(self.ratios[channel] * 2**self.bits))
        return [0] * self.signed + [value >> bit & 1 for bit in range(self.bits - 1, -1, -1)]


class World:
    """What is at the lines.

    Parameters:
        gpio: where they are; its first chip is wired.
    """

    def __init__(self, gpio: SimulatedGpio) -> None:
        self.gpio = gpio
        self.distance_m: float | None = 1.0
        """From the HC-SR04 to what is before it; None for nothing."""
        self.light = 0.5
        """At the photoresistor: 1 charges its capacitor at once, 0 in 10 ms."""
        self.converter = Converter()
        self._mosi = 0
        self._turning: asyncio.Future[None] | None = None
        chip = next(iter(gpio.chips.values()))
        chip.on_level = self._level
        chip.on_request = self._requested

    def execute(self, text: str) -> str:
        """Does what one line of the control input says, and returns the result.

        `set distance METRES|none`, `set light 0..1`, `set input NUMBER 0..1` (of the MCP3008, share of its reference
        voltage), `turn STEPS` (of the encoder); and what SimulatedGpio executes: `drive LINE 1|0|-`, `disconnect`.
        """
        try:
            match text.split():
                case ["set", "distance", value]:
                    self.distance_m = None if value == "none" else _number(value, 0, 10)
                case ["set", "light", value]:
                    self.light = _number(value, 0, 1)
                case ["set", "input", channel, value]:
                    self.converter.ratios[int(_number(channel, 0, 7))] = _number(value, 0, 1)
                case ["turn", steps]:
                    self._turning = asyncio.ensure_future(self.turn(int(_number(steps, -1000, 1000))))
                case _:
                    return self.gpio.execute(text)
        except ValueError as error:
            return str(error)
        return "ok"

    async def turn(self, steps: int) -> None:
        """Turns the encoder by whole steps, clockwise where positive."""
        order = ((ENCODER_A, 0), (ENCODER_B, 0), (ENCODER_A, 1), (ENCODER_B, 1))
        if steps < 0:
            order = ((ENCODER_B, 0), (ENCODER_A, 0), (ENCODER_B, 1), (ENCODER_A, 1))
        for _ in range(abs(steps)):
            for line, level in order:
                self.gpio.drive(line, level)
                await asyncio.sleep(_CONTACT_S)

    async def run(self) -> None:
        """Something comes and goes before the sensors, somebody presses the button, until cancelled."""
        for line in (ENCODER_A, ENCODER_B, BUTTON):
            self.gpio.drive(line, 1)
        phase = 0
        while True:
            phase += 1
            self.distance_m = 1.5 + math.sin(phase / 5)
            self.light = 0.5 + 0.4 * math.sin(phase / 7)
            self.converter.ratios[0] = 0.5 + 0.5 * math.sin(phase / 3)
            self.gpio.drive(PIR, phase // 4 % 2)
            self.gpio.drive(BUTTON, phase % 2)
            await self.turn(1)
            await asyncio.sleep(1.0)

    def _level(self, line: str, level: int) -> None:
        if line == TRIGGER and not level:
            self._ping()
        elif line == SELECT:
            self.converter.select(selected=not level)
        elif line == MOSI:
            self._mosi = level
        elif line == CLOCK and level:
            self.converter.clock_up(self._mosi)
        elif line == CLOCK:
            self.gpio.drive(MISO, self.converter.clock_down())

    def _ping(self) -> None:
        """An echo as long as sound takes there and back; its edges have their times, however late they come."""
        distance_m = self.distance_m
        if distance_m is None or not _LEAST_M <= distance_m <= _MOST_M:
            return
        rises_ns = self.gpio.now_ns() + _ECHO_AFTER_NS
        self.gpio.drive(ECHO, 1, rises_ns)
        self.gpio.drive(ECHO, 0, rises_ns + round(2 * distance_m / SPEED_OF_SOUND * _NS))

    def _requested(self, line: str, output: bool) -> None:
        if line == LIGHT and output:
            self.gpio.drive(LIGHT, None)
        elif line == LIGHT and self.light > 0:
            now_ns = self.gpio.now_ns()
            self.gpio.drive(LIGHT, 0, now_ns)
            self.gpio.drive(LIGHT, 1, now_ns + round((1 - self.light) * 0.01 * _NS))


def _number(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None
    if not low <= value <= high:
        raise ValueError(f"{text} is not from {low:g} to {high:g}")
    return value


DEVICES: dict[str, dict[str, object]] = {
    "level": {"device": "DistanceSensor", "echo": ECHO, "trigger": TRIGGER},
    "hall": {"device": "MotionSensor", "pin": PIR},
    "daylight": {"device": "LightSensor", "pin": LIGHT},
    "button": {"device": "Button", "pin": BUTTON, "bounce_time": 0.01},
    "knob": {"device": "RotaryEncoder", "a": ENCODER_A, "b": ENCODER_B, "max_steps": 0},
    "poti": {
        "device": "MCP3008",
        "clock_pin": CLOCK,
        "mosi_pin": MOSI,
        "miso_pin": MISO,
        "select_pin": SELECT,
    },
    "lamp": {"device": "LED", "pin": LAMP, "source": "button"},
    "dimmed": {"device": "PWMLED", "pin": DIMMED},
    "arm": {"device": "AngularServo", "pin": SERVO},
}


def settings_for(gpio: SimulatedGpio, *names: str) -> dict[str, object]:
    """The settings by which a service sees this world, or some of its devices."""
    devices = [{"name": name, **DEVICES[name]} for name in names or DEVICES]
    return {"gpio": {"path": f"sim:{gpio.path}"}, "devices": devices}


async def _run(options: argparse.Namespace) -> None:
    with socket_of(options) as path:
        gpio = SimulatedGpio(path)
        gpio.add("pinctrl-bcm2711", LINES)
        world = World(gpio)
        async with gpio.serving():
            await play_until_stopped(settings_for(gpio), world.run(), world)


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach it, then plays until SIGTERM or SIGINT."""
    parser = emulator_parser("gpiozero_device.emulator", __doc__, World)
    add_socket_option(parser)
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
