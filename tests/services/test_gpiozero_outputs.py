"""gpiozero_device: outputs do what commands, rules and other devices say, and are safe when they have to be."""

import asyncio
import contextlib
import errno
import json
import os
import signal
import sys
import threading

import pytest

from device_bridge import DeviceError, DeviceErrorKind, Quality
from gpiozero_device.lines.pwm import SoftwarePwm, Wave

from .gpiozero_world import bridged_to, tell, until, value_of, world_of

BUTTON = {"device": "Button", "name": "button", "pin": "GPIO17"}
LAMP = {"device": "LED", "name": "lamp", "pin": "GPIO22"}
DIMMED = {"device": "PWMLED", "name": "dimmed", "pin": "GPIO12", "active_high": False}


async def test_a_lamp_follows_a_button_by_its_source(tmp_path):
    async with world_of(tmp_path) as world, bridged_to(world, BUTTON, LAMP | {"source": "button"}) as bridged:
        for level in (0, 1, 0):
            world.gpio.drive("GPIO17", level)
            assert await value_of(bridged, "lamp", lambda value, on=not level: value is on) is not bool(level)
            assert world.gpio.level("GPIO22") == 1 - level


async def test_an_analogue_value_is_followed_in_its_whole_range(tmp_path):
    light = {"device": "LightSensor", "name": "light", "pin": "GPIO18", "queue_len": 1, "interval": 0.05}
    async with world_of(tmp_path) as world, bridged_to(world, light, DIMMED | {"source": "light"}) as bridged:
        world.light = 1.0
        assert await value_of(bridged, "dimmed", lambda value: value > 0.5) < 1
        world.light = 0.0
        assert await value_of(bridged, "dimmed", lambda value: value < 0.1) == 0


async def test_a_rule_switches_by_a_threshold_and_a_bad_reading_makes_safe(tmp_path):
    level = {"device": "DistanceSensor", "name": "level", "echo": "GPIO24", "trigger": "GPIO23", "queue_len": 1}
    rules = [{"reading": "level", "output": "lamp", "on_below": 0.5, "off_above": 0.6}]
    devices = (level | {"interval": 0.05}, LAMP)
    async with world_of(tmp_path) as world, bridged_to(world, *devices, rules=rules) as bridged:
        for distance_m, is_on in ((0.4, True), (0.55, True), (0.7, False), (0.55, False), (0.3, True), (None, False)):
            world.distance_m = distance_m
            heard = distance_m and pytest.approx(distance_m, abs=0.01)
            await bridged.sample(lambda sample, m=heard: "level" in sample and sample["level"].value == m)
            await until(lambda on=is_on: world.gpio.level("GPIO22") == on)


async def test_without_the_node_outputs_go_safe_but_those_that_follow_go_on(tmp_path):
    follower = LAMP | {"name": "follower", "pin": "GPIO20", "source": "button"}
    async with world_of(tmp_path) as world, bridged_to(world, BUTTON, LAMP, follower, node_timeout=0.2) as bridged:
        assert (await tell(bridged, "lamp", value=True)).ok
        world.gpio.drive("GPIO17", 0)
        await until(lambda: world.gpio.level("GPIO20") == 1)
        bridged.is_connected = False
        await until(lambda: world.gpio.level("GPIO22") == 0)
        assert world.gpio.level("GPIO20") == 1
        assert {m.name: m.value for m in bridged.metrics()}["bridge_device_safety_trips_total"] == 1


async def test_refused_settings_hold_outputs_safe_until_good_ones_come(tmp_path):
    async with world_of(tmp_path) as world, bridged_to(world, BUTTON, LAMP | {"source": "button"}) as bridged:
        world.gpio.drive("GPIO17", 0)
        await until(lambda: world.gpio.level("GPIO22") == 1)
        bridged.settings.refuse("given", "x")
        await until(lambda: world.gpio.level("GPIO22") == 0)
        assert "settings were refused: x" in (await tell(bridged, "lamp", value=True)).detail
        bridged.settings.clear("given")
        await until(lambda: world.gpio.level("GPIO22") == 1)


async def test_max_on_ends_what_a_command_has_begun(tmp_path):
    async with world_of(tmp_path) as world, bridged_to(world, LAMP | {"max_on": 0.2}) as bridged:
        for command in ("lamp/on", "lamp/blink"):
            assert (await tell(bridged, command)).ok
            await until(lambda: world.gpio.level("GPIO22") == 1)
            await until(lambda: world.gpio.level("GPIO22") == 0)


async def test_a_line_that_does_not_follow_makes_the_command_fail(tmp_path):
    async with world_of(tmp_path) as world, bridged_to(world, LAMP) as bridged:
        await bridged.sample()
        world.gpio.drive("GPIO22", 0)
        result = await tell(bridged, "lamp", value=True)
        assert (result.ok, result.readings[0].quality) == (False, Quality.UNCERTAIN)
        assert "overload or short circuit" in result.detail


@pytest.mark.parametrize(
    ("command", "parameters", "words"),
    [
        ("lamp", {"value": "perhaps"}, "is not true or false"),
        ("lamp/blink", {"on_time": 0}, "from 0.01 to 86400"),
        ("lamp/dance", {}, "Did you mean"),
        ("motor/forward", {"speed": 0.5}, "must be 0 or 1 with non-PWM"),
        ("buzzer/play", {"tone": "H2"}, "neither a note"),
        ("buzzer/play", {"tone": 5000}, "out of the device's range"),
    ],
)
async def test_a_wrong_command_is_refused_with_the_reason(command, parameters, words, tmp_path):
    motor = {"device": "Motor", "name": "motor", "forward": "GPIO5", "backward": "GPIO6", "pwm": False}
    buzzer = {"device": "TonalBuzzer", "name": "buzzer", "pin": "GPIO13"}
    async with world_of(tmp_path) as world, bridged_to(world, LAMP, motor, buzzer) as bridged:
        found = set()
        while found != {"lamp", "motor", "buzzer"}:
            found |= (await bridged.sample()).keys()
        result = await tell(bridged, command, **parameters)
        assert not result.ok
        assert words in result.detail


async def test_a_write_that_fails_is_reported_and_the_output_comes_back_safe(tmp_path):
    async with world_of(tmp_path) as world, bridged_to(world, LAMP, DIMMED) as bridged:
        assert (await tell(bridged, "lamp", value=True)).ok
        chip = world.gpio.chips["gpiochip0"]
        request = chip.lines[chip.offset("GPIO22")].request

        def refuse(mask, bits):
            raise OSError(errno.EIO, "no")

        request.set = refuse
        result = await tell(bridged, "lamp", value=False)
        assert (result.ok, "bus fault" in result.detail) == (False, True)
        found = await bridged.sample(lambda sample: "lamp" in sample and sample["lamp"].value is None)
        assert found["lamp"].quality is Quality.BAD
        assert await value_of(bridged, "lamp", lambda value: value is not None) is False
        assert world.gpio.level("GPIO22") == 0
        failures = {m.labels["member"]: m.value for m in bridged.metrics() if "member_failures" in m.name}
        assert (failures["lamp"] > 0, failures["dimmed"]) == (True, 0)


async def test_a_pattern_whose_line_is_lost_ends_without_a_word_and_the_device_is_tried_again(tmp_path, caplog):
    async with world_of(tmp_path) as world, bridged_to(world, LAMP) as bridged:
        assert (await tell(bridged, "lamp/blink", on_time=0.01, off_time=0.01)).ok
        await until(lambda: world.gpio.level("GPIO22") == 1)
        world.gpio.disconnect()
        assert await value_of(bridged, "lamp", lambda value: value is None) is None
        assert await value_of(bridged, "lamp", lambda value: value is not None) is False
        assert not [thread for thread in threading.enumerate() if "blink" in thread.name]
        assert "Traceback" not in caplog.text


async def test_a_closed_service_leaves_no_thread(tmp_path):
    before = set(threading.enumerate())
    async with world_of(tmp_path) as world, bridged_to(world, BUTTON, LAMP, DIMMED) as bridged:
        assert (await tell(bridged, "dimmed/pulse")).ok
        await until(lambda: world.gpio.level("GPIO12") == 0)
    assert world.gpio.level("GPIO12") == 1, "dark, for it is active low"
    await until(lambda: set(threading.enumerate()) <= before)


@contextlib.asynccontextmanager
async def service_process(world, **members):
    """The service as a process, whose lamp is on because a button is pressed."""
    world.gpio.drive("GPIO17", 0)
    told = {"gpio": {"path": f"sim:{world.gpio.path}"}, "devices": [BUTTON, LAMP | {"source": "button"}]} | members
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gpiozero_device"),
        env=os.environ
        | {"IOFOG_LINK": "console:"}
        | {f"SETTING_{name.upper()}": json.dumps(value) for name, value in told.items()},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await until(lambda: world.gpio.level("GPIO22") == 1)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_killed_service_leaves_its_outputs_safe(tmp_path):
    async with world_of(tmp_path) as world, service_process(world) as process:
        process.send_signal(signal.SIGKILL)
        await until(lambda: world.gpio.level("GPIO22") == 0)


async def test_a_service_that_stands_still_is_killed_and_its_outputs_are_safe(tmp_path):
    async with world_of(tmp_path) as world, service_process(world, watchdog_timeout=1) as process:
        process.send_signal(signal.SIGSTOP)
        await until(lambda: world.gpio.level("GPIO22") == 0)
        assert await process.wait() == -signal.SIGKILL


async def test_an_orderly_end_leaves_outputs_safe(tmp_path):
    async with world_of(tmp_path) as world, service_process(world) as process:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert world.gpio.level("GPIO22") == 0


def test_pulses_have_their_shares_of_the_time_whatever_the_wake_ups_do():
    levels, now = [], 100.0
    wave = Wave(lambda level: levels.append((now, level)), lambda _: None, 50, 0.075)
    late_s = iter((0.0, 0.004, 0.0, 0.001, 0.0) * 20)
    while len(levels) < 100:
        now = max(now, wave.due) + next(late_s)
        wave.switch(now)
    assert [level for _, level in levels[:4]] == [1, 0, 1, 0]
    rises = [at for at, level in levels if level]
    assert rises[-1] - rises[0] == pytest.approx(0.02 * (len(rises) - 1), abs=0.006), "no lateness adds up"
    wave.duty = 0.0
    wave.due = now
    wave.switch(now)
    assert (levels[-1][1], wave.due) == (0, float("inf"))


def test_pulses_that_fail_end_and_are_reported():
    failed, told = [], threading.Event()

    def fail(level):
        raise DeviceError(DeviceErrorKind.GONE, "x", "no")

    def note(error):
        failed.append(error)
        told.set()

    pwm = SoftwarePwm()
    pwm.start(Wave(fail, note, 50, 0.5))
    assert told.wait(60)
    pwm.close()
    assert [error.kind for error in failed] == [DeviceErrorKind.GONE]
