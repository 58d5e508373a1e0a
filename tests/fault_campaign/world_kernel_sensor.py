"""Devices behind drivers of the kernel, whose files do all that such files do, beside strangers of their class."""

from __future__ import annotations

import contextlib
from functools import partial

from device_bridge.buses import attached
from device_bridge.settings import profile_names
from kernel_sensor.emulated_devices import scaled_device
from kernel_sensor.emulated_tree import SimulatedSysfs
from kernel_sensor.profile_devices import add_profile
from kernel_sensor.service import KernelSensor

from .bench import World

_ERRORS = ("EIO", "EAGAIN", "ENODATA", "ETIMEDOUT", "ENXIO", "EINVAL")
_TEXTS = ("N/A", "'-'", "nan", "x", "'1 2'", "0x7f")
_STATES = ("noisy", "shorted", "undersupplied")


class TreeWorld(World):
    """A device by its profile."""

    settle_s = 30.0
    recovery_s = 180.0

    def __init__(self, tree, device, profile):
        super().__init__(KernelSensor, path=f"sim:{tree.path}", sensors=[{"profile": profile}], interval=2.0)
        self._tree, self._device = tree, device
        self.faults = {
            "absence": lambda _: self._tell("absent x on"),
            "return": lambda _: self._tell("absent x off"),
            "failure": lambda chance: self._tell(f"fail x {chance.choice(_ERRORS)}"),
            "no value yet": lambda chance: self._tell(f"again x {chance.randrange(1, 9)}"),
            "nothing": lambda _: self._tell("empty x on"),
            "part": lambda chance: self._tell(f"cut x {chance.randrange(0, 60)}"),
            "nonsense": lambda chance: self._tell(f"text x {chance.choice(_TEXTS)}"),
            "delay": lambda chance: self._tell(f"delay x {chance.choice((0.1, 2, 8))}"),
            "another number": lambda chance: self._tell(f"renumber x {chance.randrange(3)}"),
        }
        if device.kind == "w1":
            self.faults |= {state: lambda chance, state=state: self._tell(f"set x/{state} 1") for state in _STATES}

    def _tell(self, text):
        result = self._tree.execute(text)
        assert result == "ok", result

    def heal(self):
        for text in ("absent x off", "fail x 0", "again x 0", "empty x off", "cut x -1", "text x ''", "delay x 0"):
            self._tell(text)
        if self._device.kind == "w1":
            for state in _STATES:
                self._tell(f"set x/{state} 0")


@contextlib.asynccontextmanager
async def _world(profile, folder, chance):
    tree = SimulatedSysfs(folder / "sys")
    device = add_profile(tree, "x", profile)
    if device.kind in ("hwmon", "iio", "thermal"):
        same = {file: (file, 1, 7.0) for file in device.files if file not in device.STEADY}
        for n in range(2):
            tree.add(f"other{n}", scaled_device(device.kind, f"devices/platform/other.{n}", f"stranger{n}", same))
    device.fix()
    with attached(str(tree.path), tree):
        yield TreeWorld(tree, device, profile)


WORLDS = {f"kernel_sensor:{profile}": partial(_world, profile) for profile in profile_names("kernel_sensor")}
