"""What the tests of gpiozero_device have in common: its emulated world, and the service on some devices of it."""

import asyncio
import contextlib

from device_bridge import Command
from gpiozero_device.emulator import LINES, World
from gpiozero_device.service import GpiozeroDevice
from simulated_devices import SimulatedGpio

from .serving import bridging, settings_of


@contextlib.asynccontextmanager
async def world_of(folder):
    gpio = SimulatedGpio(folder / "gpio")
    gpio.add("pinctrl-bcm2711", LINES)
    world = World(gpio)
    for line in ("GPIO17", "GPIO5", "GPIO6"):
        gpio.drive(line, 1)
    async with gpio.serving():
        yield world


@contextlib.asynccontextmanager
async def bridged_to(world, *devices, **members):
    devices = [{"name": "it"} | device for device in devices]
    settings = {"gpio": {"path": f"sim:{world.gpio.path}"}, "devices": devices, "watchdog": False} | members
    async with bridging(GpiozeroDevice, settings_of(GpiozeroDevice, **settings)) as bridged:
        bridged.told = settings_of(GpiozeroDevice, **settings)
        await until(lambda: bridged.bridge.is_usable)
        yield bridged


async def tell(bridged, name, **parameters):
    return await bridged.bridge.execute(Command(name=name, parameters=parameters))


async def value_of(bridged, name="it", wanted=lambda value: True):
    found = await bridged.sample(lambda sample: name in sample and wanted(sample[name].value))
    return found[name].value


async def until(condition):
    async with asyncio.timeout(60):  # of no matter but to a test that fails
        while not condition():
            await asyncio.sleep(0.002)
