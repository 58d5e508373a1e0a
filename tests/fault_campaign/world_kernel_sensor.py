"""Devices behind drivers of the kernel, whose files do all that such files do, beside strangers of their class."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

from device_bridge.buses import attached
from device_bridge.settings import profile_names
from kernel_sensor.emulated_devices import Wire, scaled_device
from kernel_sensor.emulated_profiles import add_profile
from kernel_sensor.emulated_tree import EmulatedDevice, SimulatedSysfs
from kernel_sensor.protocol.one_wire import BULK, TRIGGER
from kernel_sensor.service import KernelSensor

from ..movable_clock import now
from .bench import World

_ERRORS = ("EIO", "EAGAIN", "ENODATA", "ETIMEDOUT", "ENXIO", "EINVAL")
_TEXTS = ("N/A", "'-'", "nan", "x", "'1 2'", "0x7f")
_STATES = ("noisy", "shorted", "undersupplied")


class TreeWorld(World):
    """Sensors, of which each fault befalls one.

    Parameters:
        tree: they are in.
        sensors: settings of each, by the name that the tree has for it.
    """

    settle_s = 30.0
    recovery_s = 180.0

    def __init__(self, tree, sensors):
        super().__init__(KernelSensor, path=f"sim:{tree.path}", sensors=[*sensors.values()], interval=2.0)
        self._tree, self._names = tree, [*sensors]
        self.faults = {
            "absence": self._fault("absent {} on"),
            "return": self._fault("absent {} off"),
            "failure": self._fault("fail {} {}", *_ERRORS),
            "no value yet": self._fault("again {} {}", *range(1, 9)),
            "nothing": self._fault("empty {} on"),
            "part": self._fault("cut {} {}", *range(60)),
            "nonsense": self._fault("text {} {}", *_TEXTS),
            "delay": self._fault("delay {} {}", 0.1, 2, 8),
        }
        if self._is_wire:
            self.faults |= {state: self._fault(f"set {{}}/{state} 1") for state in _STATES}
        else:
            self.faults["another number"] = self._fault("renumber {} {}", *range(3))

    @property
    def _is_wire(self):
        return self._tree.devices[self._names[0]].kind == "w1"

    def _fault(self, text, *values):
        return lambda chance: self._tell(text.format(chance.choice(self._names), chance.choice(values or ("",))))

    def _tell(self, text):
        result = self._tree.execute(text)
        assert result == "ok", result

    def heal(self):
        for name in self._names:
            for text in ("absent {} off", "fail {} 0", "again {} 0", "empty {} off", "cut {} -1", "text {} ''"):
                self._tell(text.format(name))
            self._tell(f"delay {name} 0")
            for state in _STATES if self._is_wire else ():
                self._tell(f"set {name}/{state} 0")


class WireWorld(TreeWorld):
    """Thermometers whose temperatures change, on a wire whose sensors others have convert, too."""

    def __init__(self, tree, sensors, wire):
        super().__init__(tree, sensors)
        self._about_s = 2.0 + 5.0 * len(sensors)
        """So long a reading may be on its way: each sensor before it may take the time limit."""
        self._bulk = f"{wire.path}/{BULK}"
        self._history = {f"{name}/temperature": [(0.0, 20.0 + n)] for n, name in enumerate(sensors)}
        self.faults |= {"another temperature": self._warm, "a conversion by others": self._convert}

    def _warm(self, chance):
        name, celsius = chance.choice(self._names), 10.0 + chance.randrange(50)
        self._tell(f"set {name}/temperature {celsius}")
        self._history[f"{name}/temperature"].append((now(), celsius))

    def _convert(self, chance):
        self._converting = asyncio.ensure_future(self._tree.answer("write", self._bulk, TRIGGER))

    def is_right(self, reading):
        history = self._history[reading.name]
        before = [celsius for at, celsius in history if at < now() - self._about_s][-1:]
        recent = [celsius for at, celsius in history if at >= now() - self._about_s]
        return reading.value in (*before, *recent)


@contextlib.asynccontextmanager
async def _alone(profile, folder, chance):
    tree = SimulatedSysfs(folder / "sys")
    device = add_profile(tree, "x", profile)
    device.fix()
    if device.kind in ("hwmon", "iio", "thermal"):
        same = {file: (file, 1, 7.0) for file in device.files if file not in device.STEADY}
        for n in range(2):
            tree.add(f"other{n}", scaled_device(device.kind, f"devices/platform/other.{n}", f"stranger{n}", same))
    with attached(str(tree.path), tree):
        yield TreeWorld(tree, {"x": {"profile": profile}})


class LabelledWorld(TreeWorld):
    """A chip whose channels are named by labels, which its driver gives to other channels."""

    def __init__(self, tree, sensors, device):
        super().__init__(tree, sensors)
        self._device = device
        self.faults["other labels"] = lambda chance: self._label(*chance.sample(("A\n", "B\n", "C\n"), 2))

    def _label(self, one, two):
        """The value stays with its label."""
        value = {"A\n": "10000\n", "B\n": "20000\n", "C\n": "30000\n"}
        for n, label in ((1, one), (2, two)):
            self._device.files |= {f"temp{n}_label": label, f"temp{n}_input": value[label]}

    def heal(self):
        super().heal()
        self._label("A\n", "B\n")


@contextlib.asynccontextmanager
async def _labelled(folder, chance):
    tree = SimulatedSysfs(folder / "sys")
    device = tree.add("x", EmulatedDevice("hwmon", "devices/platform/x.0", "chip", {"name": "chip\n"}))
    channels = [{"name": name, "channel": f"temp:{name}"} for name in "AB"]
    world = LabelledWorld(tree, {"x": {"kind": "hwmon", "driver": "chip", "channels": channels}}, device)
    world.heal()
    with attached(str(tree.path), tree):
        yield world


@contextlib.asynccontextmanager
async def _on_a_wire(count, bulk, folder, chance):
    tree = SimulatedSysfs(folder / "sys")
    wire, sensors = Wire(tree, bulk=bulk), {}
    for n in range(count):
        id_ = f"28-{n + 1:012x}"
        wire.add(f"t{n}", id_, 20 + n)
        sensors[f"t{n}"] = {"profile": "ds18b20", "name": f"t{n}", "id": id_}
    with attached(str(tree.path), tree):
        yield WireWorld(tree, sensors, wire)


WORLDS = {
    **{f"kernel_sensor:{profile}": partial(_alone, profile) for profile in profile_names("kernel_sensor")},
    "kernel_sensor:hwmon by labels": _labelled,
    "kernel_sensor:ds18b20 on a wire, together": partial(_on_a_wire, 3, True),
    "kernel_sensor:ds18b20 on a wire, in turn": partial(_on_a_wire, 3, False),
    "kernel_sensor:ds18b20 on a wire, alone": partial(_on_a_wire, 1, True),
}
