"""What tests of kernel_sensor share: an emulated tree, served; devices in it."""

from __future__ import annotations

import contextlib

from device_bridge.buses import attached
from kernel_sensor.emulated_devices import Wire, scaled_device
from kernel_sensor.service import KernelSensor

from .serving import bridging, settings_of

ID = "28-{:012x}"


@contextlib.asynccontextmanager
async def served(tree, *sensors, **members):
    told = {"path": f"sim:{tree.path}", "interval": 10, "sensors": sensors} | members
    with attached(str(tree.path), tree):
        async with bridging(KernelSensor, settings_of(KernelSensor, **told)) as bridged:
            yield bridged


def chip(tree, name="board", driver="nct6775", parent="devices/platform/board.0", celsius=41.0, **extra):
    values = {"temp": ("temp1_input", 1e3, celsius), "fan": ("fan1_input", 1, 1180), "in": ("in0_input", 1e3, 1.1)}
    device = tree.add(name, scaled_device("hwmon", parent, driver, values, extra))
    for quantity, (_, _, typical) in values.items():
        device.measured(quantity, typical)
    return device


def channels(**named):
    return [{"name": name, "channel": channel} for name, channel in named.items()]


BOARD = {"kind": "hwmon", "driver": "nct6775", "name": "board", "channels": channels(cpu="temp1", fan="fan1")}


def values(found):
    return {name: reading.value for name, reading in found.items()}


def wire_of(tree, count, **members):
    wire = Wire(tree, **members)
    for n in range(count):
        wire.add(f"t{n}", ID.format(n + 1), 20 + n / 2)
    return wire


def thermometers(count):
    return [{"profile": "ds18b20", "name": f"t{n}", "id": ID.format(n + 1)} for n in range(count)]


async def a_round(bridged, count):
    found = {}
    while len(found) < count:
        found |= await bridged.sample()
    return found
