"""gpiozero's devices on a real kernel: gpio-sim drives their lines, the service uses /dev/gpiochipN."""

import asyncio
import json
import os
import signal
import sys

from device_bridge import Command, Quality
from gpiozero_device.service import GpiozeroDevice

from ..services.serving import bridging, settings_of
from .test_gpio_sim import edge, level, pull, until

BUTTON = {"device": "Button", "name": "button", "pin": "L16"}
LAMP = {"device": "LED", "name": "lamp", "pin": "L17", "source": "button"}


def bridged_to(*devices):
    return bridging(GpiozeroDevice, settings_of(GpiozeroDevice, devices=list(devices), watchdog=False))


async def test_a_button_is_reported_and_a_lamp_follows_it():
    pull(16, 1)
    async with bridged_to(BUTTON, LAMP) as bridged:
        await bridged.sample(lambda found: "button" in found and found["button"].value is False)
        for value in (0, 1, 0):
            await edge(16, value)
            await bridged.sample(lambda found, on=not value: "button" in found and found["button"].value is on)
            await until(lambda lit=1 - value: level(17) == lit)
    assert level(17) == 0


async def test_an_encoder_counts_both_ways():
    for line in (18, 19):
        pull(line, 1)
    async with bridged_to({"device": "RotaryEncoder", "name": "knob", "a": "L18", "b": "L19"}) as bridged:
        await bridged.sample()
        for first, second, wanted in ((18, 19, 5), (19, 18, 2)):
            for _ in range(5 if wanted == 5 else 3):
                for line, value in ((first, 0), (second, 0), (first, 1), (second, 1)):
                    await edge(line, value)
            await bridged.sample(lambda found, steps=wanted: found["knob"].value == steps)


async def test_a_dimmed_lamp_is_pulsed_and_dark_in_the_end():
    async with bridged_to({"device": "PWMLED", "name": "lamp", "pin": "L20", "frequency": 10}) as bridged:
        await bridged.sample()
        result = await bridged.bridge.execute(Command(name="lamp", parameters={"value": 0.5}))
        assert (result.ok, result.readings[0].value) == (True, 0.5)
        for _ in range(3):
            await until(lambda: level(20) == 1)
            await until(lambda: level(20) == 0)
    assert level(20) == 0


async def test_a_sensor_without_an_echo_has_no_value():
    pull(22, 0)
    sensor = {"device": "DistanceSensor", "name": "level", "trigger": "L21", "echo": "L22", "queue_len": 1}
    async with bridged_to(sensor) as bridged:
        found = await bridged.sample()
        assert (found["level"].quality, found["level"].reason) == (Quality.BAD, "no echo")


async def test_a_killed_service_leaves_its_lamp_dark():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gpiozero_device"),
        env=os.environ | {"IOFOG_LINK": "console:", "SETTING_DEVICES": json.dumps([BUTTON, LAMP])},
        stdout=asyncio.subprocess.DEVNULL,
    )

    def is_lit():
        pull(16, 0)  # gpio-sim pulls a line by itself when its bias is asked for
        return level(17) == 1

    await until(is_lit)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until(lambda: level(17) == 0)
