"""Lines of GPIO chips: contacts and pulses, outputs and those who switch them, chips that go away."""

from __future__ import annotations

import asyncio
import contextlib

from device_bridge import Command
from device_bridge.buses import LineConfig
from digital_inputs.emulator import PI_LINES
from digital_inputs.service import DigitalInputs
from digital_outputs.service import DigitalOutputs
from simulated_devices import SimulatedGpio

from ..movable_clock import now, now_ns
from .bench import World


class TakenLine:
    """A line that somebody else takes from whoever has it."""

    def __init__(self, gpio):
        self._gpio, self._held = gpio, None

    def take(self, name):
        """Takes it, as soon as it is free."""
        self._gpio.disconnect()
        chip = self._gpio.chips["gpiochip0"]
        with contextlib.suppress(OSError):
            self._held = self._held or chip.request([chip.offset(name)], LineConfig()._asdict(), 1, "w1-gpio")

    def release(self):
        """Gives it back."""
        if self._held is not None:
            self._held.release()
            self._held = None


class InputsWorld(World):
    """A contact, a counter, an encoder and a line that somebody else holds from time to time."""

    settle_s = 3.0
    _SEEN_AFTER_S = 1.1
    """A level is looked at once a second, should an edge never have been told."""

    def __init__(self, gpio):
        contact = {"kind": "contact", "name": "door", "line": "GPIO17", "heartbeat": 1}
        super().__init__(
            DigitalInputs,
            gpio={"path": f"sim:{gpio.path}"},
            inputs=[
                contact,
                contact | {"name": "gate", "line": "GPIO27"},
                {"kind": "counter", "name": "pulses", "line": "GPIO22", "interval": 0.5, "standstill": 5},
                {"kind": "encoder", "name": "axis", "line": "GPIO23", "line_b": "GPIO24", "interval": 0.5},
            ],
        )
        self._gpio, self._taken, self._least = gpio, TakenLine(gpio), 0
        self._levels = {"door": [(0.0, 0)], "gate": [(0.0, 0)]}
        self.pulses, self.steps = 0, {0}
        self.faults = {
            "drive": lambda chance: self._drive(chance.choice(("door", "gate")), chance.randrange(2)),
            "burst": lambda chance: self._pulse(chance.choice((1, 10, 3000))),
            "turn": lambda chance: self._turn(chance.choice((-1, 1)), chance.choice((1, 7, 1500))),
            "absence": lambda _: gpio.disconnect(),
            "delay": lambda chance: setattr(gpio, "answer_delay_s", chance.choice((0.05, 0.5))),
            "busy": lambda _: self._hold(),
        }
        self._phase = self._position = 0

    def _drive(self, name, level):
        self._levels[name].append((now(), level))
        self._gpio.drive({"door": "GPIO17", "gate": "GPIO27"}[name], level)

    def _pulse(self, count):
        for _ in range(count):
            self.pulses += 1
            self._gpio.drive("GPIO22", 1)
            self._gpio.drive("GPIO22", 0)

    def _turn(self, direction, count):
        for _ in range(count):
            self._position += direction
            self.steps.add(self._position)
            a, b = ((0, 0), (0, 1), (1, 1), (1, 0))[self._position % 4]
            self._gpio.drive("GPIO23", a)
            self._gpio.drive("GPIO24", b)

    def _hold(self):
        """Somebody else takes the gate's line, as soon as it is free."""
        self._taken.take("GPIO27")

    def heal(self):
        self._gpio.answer_delay_s = 0.0
        self._taken.release()

    def is_right(self, reading):
        if reading.name in self._levels:
            history = self._levels[reading.name]
            recent = {
                level for at, level in history if at >= now() - self._SEEN_AFTER_S - 2 * self._gpio.answer_delay_s
            }
            return int(reading.value) in recent | {history[-1][1]} | self._before(history)
        if reading.name == "pulses":
            is_right = self._least <= reading.value <= self.pulses
            self._least = max(self._least, reading.value)
            return is_right
        return reading.name != "pulses/rate" or reading.value >= 0

    def _before(self, history):
        """The level that the recent changes were made from."""
        since = now() - self._SEEN_AFTER_S - 2 * self._gpio.answer_delay_s
        if history[-1][0] < since:
            return set()
        return {[level for at, level in history if at < since][-1]}


class ContactWorld(World):
    """One line that a service tells as on or off."""

    settle_s = 3.0

    def __init__(self, service_type, gpio, line, **settings):
        super().__init__(service_type, gpio={"path": f"sim:{gpio.path}"}, **settings)
        self._gpio, self._history = gpio, []
        self._drive(line, 0)
        self.faults = {
            "drive": lambda chance: self._drive(line, chance.randrange(2)),
            "absence": lambda _: gpio.disconnect(),
            "delay": lambda chance: setattr(gpio, "answer_delay_s", chance.choice((0.05, 0.5))),
        }

    def _drive(self, line, level):
        self._history.append((now(), level))
        self._gpio.drive(line, level)

    def heal(self):
        self._gpio.answer_delay_s = 0.0

    def is_right(self, reading):
        since = now() - 1.1 - 2 * self._gpio.answer_delay_s
        before = [level for at, level in self._history if at < since][-1:]
        return int(reading.value) in {*before, *(level for at, level in self._history if at >= since)}


class CountWorld(World):
    """One line whose pulses a service counts: never more than there were, never fewer than it has told."""

    settle_s = 3.0

    def __init__(self, service_type, gpio, line, per_pulse, **settings):
        super().__init__(service_type, gpio={"path": f"sim:{gpio.path}"}, **settings)
        self._gpio, self._line, self._per_pulse = gpio, line, per_pulse
        self._pulses = self._least = 0
        gpio.drive(line, 1)
        self.faults = {
            "pulses": lambda chance: self._pulse(chance.choice((1, 5, 20))),
            "bounce": lambda _: [gpio.drive(line, level) for level in (0, 1, 0, 1)],
            "absence": lambda _: gpio.disconnect(),
            "delay": lambda chance: setattr(gpio, "answer_delay_s", chance.choice((0.05, 0.5))),
        }

    def _pulse(self, count):
        self._pulses += count
        self._gpio.pulses(self._line, 5, count)

    def heal(self):
        self._gpio.answer_delay_s = 0.0

    def is_right(self, reading):
        is_right = self._least <= reading.value <= self._pulses * self._per_pulse + 1e-6
        self._least = max(self._least, reading.value)
        return is_right


class OutputsWorld(World):
    """Outputs that are commanded all the time, and whose chip goes away."""

    settle_s = 3.0
    _READ_BACK_S = 1.1
    """Levels are read back once a second."""
    _driven_at = 0.0

    def __init__(self, gpio):
        super().__init__(
            DigitalOutputs,
            gpio={"path": f"sim:{gpio.path}"},
            watchdog=False,
            report_interval=0.5,
            outputs=[
                {"name": "lamp", "line": "GPIO22"},
                {"name": "valve", "line": "GPIO4", "active_low": True},
                {"name": "up", "line": "GPIO5", "group": "shutter"},
                {"name": "down", "line": "GPIO6", "group": "shutter"},
            ],
        )
        self._gpio = gpio
        self._lines = {"lamp": "GPIO22", "valve": "GPIO4", "up": "GPIO5", "down": "GPIO6"}
        self.faults = {
            "command": self._command,
            "short": lambda chance: self._drive(chance.choice(list(self._lines.values())), chance.randrange(2)),
            "absence": lambda _: gpio.disconnect(),
            "delay": lambda chance: setattr(gpio, "answer_delay_s", chance.choice((0.05, 0.5))),
        }

    def _drive(self, line, level):
        self._driven_at = now()
        self._gpio.drive(line, level)

    def _command(self, chance):
        command = Command(name=chance.choice(list(self._lines)), parameters={"value": chance.random() < 0.5})
        asking = asyncio.ensure_future(self.trial.supervisor.execute(command))
        asking.add_done_callback(self._judge)

    def _judge(self, asked):
        result = asked.result()
        if result.ok:
            self.trial.wrong += [each for each in result.readings if not self.is_right(each)]

    def heal(self):
        self._gpio.answer_delay_s = 0.0
        for line in self._lines.values():
            self._drive(line, None)

    def is_right(self, reading):
        if self._gpio.answer_delay_s or now() < self._driven_at + self._READ_BACK_S:
            return True  # what was read is older
        return bool(self._gpio.level(self._lines[reading.name])) is (reading.value is not (reading.name == "valve"))


class RelayWorld(ContactWorld):
    """One output of a service that is commanded all the time, and read back."""

    def __init__(self, service_type, gpio, line, command, **settings):
        super().__init__(service_type, gpio, line, **settings)
        self._line, self._name = line, command
        self.faults |= {"command": self._command}

    def _command(self, chance):
        command = Command(name=self._name, parameters={"value": chance.random() < 0.5})
        asyncio.ensure_future(self.trial.supervisor.execute(command)).add_done_callback(self._judge)

    def _judge(self, asked):
        result = asked.result()
        if result.ok:
            self.trial.wrong += [each for each in result.readings if not self.is_right(each)]

    def heal(self):
        super().heal()
        self._drive(self._line, None)

    def is_right(self, reading):
        since = now() - 1.1 - 2 * self._gpio.answer_delay_s
        if self._history[-1][0] >= since or self._gpio.answer_delay_s:
            return True
        return bool(self._gpio.level(self._line)) is reading.value


def _on_chip(world, lines=PI_LINES):
    @contextlib.asynccontextmanager
    async def made(folder, chance):
        gpio = SimulatedGpio(folder / "gpio", now_ns)
        gpio.add("pinctrl-bcm2711", lines)
        async with gpio.serving():
            yield world(gpio)

    return made


def contact(service_type, line, **settings):
    """A service that tells whether a line is on."""
    return _on_chip(lambda gpio: ContactWorld(service_type, gpio, line, **settings), [line])


def counted(service_type, line, per_pulse, **settings):
    """A service that counts the pulses of a line."""
    return _on_chip(lambda gpio: CountWorld(service_type, gpio, line, per_pulse, **settings), [line])


def relay(service_type, line, command, **settings):
    """A service that switches a line by a command with a `value`."""
    return _on_chip(lambda gpio: RelayWorld(service_type, gpio, line, command, **settings), [line])


WORLDS = {"digital_inputs:lines": _on_chip(InputsWorld), "digital_outputs:lines": _on_chip(OutputsWorld)}
