"""Chips on an I2C bus that does all that such buses do."""

from __future__ import annotations

import asyncio
import contextlib

from device_bridge import Command
from device_bridge.buses import attached
from io_expander.chip import EXPANDERS
from io_expander.emulator import CHIPS
from io_expander.service import IoExpander
from register_sensor.chip import chip_of
from register_sensor.service import RegisterSensor
from simulated_devices import SimulatedI2cBus

from ..conformance.subjects import SUBJECTS
from .bench import World


class I2cWorld(World):
    """A chip on such a bus.

    Parameters:
        bus: where it is, the only one.
        checked: whether checksums protect what is read: else no damage to it can be noticed.
        identified: whether another chip in its place can be noticed.
    """

    def __init__(self, service_type, bus, *, checked, identified, **settings):
        super().__init__(service_type, bus={"path": f"sim:{bus.path}"}, **settings)
        self._bus = bus
        self._name = next(iter(bus.places))
        self.faults = {
            "absence": lambda _: self._tell("absent on"),
            "return": lambda _: self._tell("absent off"),
            "delay": lambda chance: self._tell(f"stretch {chance.choice((0.01, 0.5, 5))}"),
            "reset": lambda _: self._tell("reset"),
            "stuck": lambda _: bus.execute("stuck on"),
            "disconnect": lambda _: bus.execute("disconnect"),
        }
        if checked:
            self.faults["corrupt"] = lambda chance: self._tell(f"corrupt {chance.uniform(0.05, 1)}")
        if identified:
            self.faults["swap"] = lambda _: self._tell("swap on")

    def _tell(self, text):
        verb, *words = text.split()
        result = self._bus.execute(" ".join([verb, self._name, *words]))
        assert result == "ok", result

    def heal(self):
        for text in ("absent off", "stretch 0", "corrupt 0", "swap off"):
            self._tell(text)
        self._bus.execute("stuck off")


def _sensor(subject):
    @contextlib.asynccontextmanager
    async def world(folder, chance):
        bus = SimulatedI2cBus(folder / "bus", chance.randrange(2**31))
        chip = subject.chip(subject.address)
        bus.add(subject.name, subject.address, chip)
        for name in subject.measured:
            chip.set(name, chip.surroundings.value(name))
        with attached(str(bus.path), bus):
            settings = {"interval": 2.0} | subject.settings(subject.address)
            world = I2cWorld(
                subject.service_type, bus, checked=subject.checked, identified=subject.identified, **settings
            )
            if subject.service_type is RegisterSensor:
                warm_up_s = max(read.warm_up for read in chip_of(subject.name).reads)
                world.settle_s, world.recovery_s = world.settle_s + warm_up_s, world.recovery_s + warm_up_s
            yield world

    return world


def _expander(kind):
    lines = EXPANDERS[kind].lines

    @contextlib.asynccontextmanager
    async def world(folder, chance):
        bus = SimulatedI2cBus(folder / "bus", chance.randrange(2**31))
        chip = CHIPS[kind]()
        bus.add("expander", 0x20, chip)
        with attached(str(bus.path), bus):
            yield _LinesWorld(bus, chip, kind, lines)

    return world


class _LinesWorld(I2cWorld):
    """Truth changes here: a good reading says what is, or what was a moment ago."""

    settle_s = 2.0

    def __init__(self, bus, chip, kind, lines):
        super().__init__(
            IoExpander,
            bus,
            checked=False,
            identified=kind == "mcp23017",
            chip=kind,
            interval=0.05,
            inputs=[{"line": lines[at], "name": f"in{at}"} for at in (0, 1)],
            outputs=[{"line": lines[-1], "name": "out"}],
            watchdog=False,
        )
        self._chip, self._lines = chip, {"in0": lines[0], "in1": lines[1], "out": lines[-1]}
        self._numbers = {name: lines.index(line) for name, line in self._lines.items()}
        self.faults["drive"] = lambda chance: chip.set(
            self._lines[chance.choice(("in0", "in1"))], chance.choice((0, 1))
        )
        self.faults["command"] = self._command

    def _command(self, chance):
        command = Command(name="out", parameters={"value": chance.choice((True, False))})
        self._commanded = asyncio.ensure_future(self.trial.supervisor.execute(command))

    def is_right(self, reading):
        # Nothing passes between the last look at the lines and the report of it.
        return reading.value is bool(self._chip.levels >> self._numbers[reading.name] & 1)


WORLDS = {
    **{f"{subject.service_type.name()}:{subject.name}": _sensor(subject) for subject in SUBJECTS},
    **{f"io_expander:{kind}": _expander(kind) for kind in CHIPS},
}
