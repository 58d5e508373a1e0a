"""Devices behind drivers of the kernel, whose files do all that such files do, beside strangers of their class."""

from __future__ import annotations

import contextlib
from functools import partial

from device_bridge.buses import attached
from device_bridge.settings import profile_names
from kernel_sensor.emulated_devices import Wire, scaled_device
from kernel_sensor.emulated_profiles import add_profile
from kernel_sensor.emulated_tree import SimulatedSysfs
from kernel_sensor.service import KernelSensor

from .bench import World

_ERRORS = ("EIO", "EAGAIN", "ENODATA", "ETIMEDOUT", "ENXIO", "EINVAL")
_TEXTS = ("N/A", "'-'", "nan", "x", "'1 2'", "0x7f")
_STATES = ("noisy", "shorted", "undersupplied")
_ON_A_WIRE = 3


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


@contextlib.asynccontextmanager
async def _on_a_wire(bulk, folder, chance):
    tree = SimulatedSysfs(folder / "sys")
    wire, sensors = Wire(tree, bulk=bulk), {}
    for n in range(_ON_A_WIRE):
        id_ = f"28-{n + 1:012x}"
        wire.add(f"t{n}", id_, 20 + n)
        sensors[f"t{n}"] = {"profile": "ds18b20", "name": f"t{n}", "id": id_}
    with attached(str(tree.path), tree):
        yield TreeWorld(tree, sensors)


WORLDS = {
    **{f"kernel_sensor:{profile}": partial(_alone, profile) for profile in profile_names("kernel_sensor")},
    "kernel_sensor:ds18b20 on a wire, together": partial(_on_a_wire, True),
    "kernel_sensor:ds18b20 on a wire, in turn": partial(_on_a_wire, False),
}
