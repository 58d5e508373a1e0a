"""GPIO outputs: commands, patterns, interlock, the safe state in each case, rules on the node."""

import asyncio
import contextlib
import errno
import itertools
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_bridge import Command, DeviceError, NodeState, Quality, SettingsError
from device_bridge.settings import SettingsStatus
from device_bridge.supervision import Supervisor
from digital_outputs.emulator import LINES, settings_for, wire
from digital_outputs.interlock import Interlock, Limits
from digital_outputs.life_cycle import Life
from digital_outputs.service import DigitalOutputs
from simulated_devices import SimulatedGpio

from ..movable_clock import now_ns, run
from .serving import bridging, settings_of

pytestmark = pytest.mark.clock("movable")

LAMP = {"name": "lamp", "line": "GPIO22"}


@contextlib.asynccontextmanager
async def world_of(folder, **chip):
    gpio = SimulatedGpio(folder / "gpio", now_ns)
    gpio.add("pinctrl-bcm2711", LINES, **chip)
    async with gpio.serving():
        yield gpio


@contextlib.asynccontextmanager
async def driving(gpio, *outputs, **members):
    members = {"gpio": {"path": f"sim:{gpio.path}"}, "outputs": list(outputs), "watchdog": False} | members
    async with bridging(DigitalOutputs, settings_of(DigitalOutputs, **members)) as bridged:
        await bridged.sample()
        yield bridged


async def tell(bridged, name, **parameters):
    return await bridged.bridge.execute(Command(name=name, parameters=parameters))


async def until(condition):
    async with asyncio.timeout(60):  # of no matter but to a test that fails
        while not condition():
            await asyncio.sleep(0.002)


async def test_a_command_switches_and_is_read_back(tmp_path):
    async with world_of(tmp_path) as gpio, driving(gpio, LAMP) as bridged:
        for value, state in ((True, 1), (False, 0), (1, 1), (0, 0), ("ON", 1), ("off", 0)):
            result = await tell(bridged, "lamp", value=value)
            assert (result.ok, result.detail) == (True, "done and read back")
            assert [(r.name, r.value) for r in result.readings] == [("lamp", bool(state))]
            assert gpio.level("GPIO22") == state


async def test_active_low_and_a_safe_state_that_is_on(tmp_path):
    valve = {"name": "valve", "line": "GPIO4", "active_low": True, "safe": True}
    async with world_of(tmp_path) as gpio:
        async with driving(gpio, valve) as bridged:
            assert gpio.level("GPIO4") == 0
            await tell(bridged, "valve", value=False)
            assert gpio.level("GPIO4") == 1
        assert gpio.level("GPIO4") == 0


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"value": "perhaps"}, "is not true or false"),
        ({"value": 0.5}, "is not true or false"),
        ({}, "write `value`"),
        ({"on_s": 1}, "write `value`"),
        ({"value": True, "for": 0}, "`for` = 0 is not a number from 0.01 to 86400"),
        ({"value": True, "for": 1e9}, "`for` = 1000000000.0 is not"),
        ({"value": True, "for": float("nan")}, "`for` = nan is not"),
        ({"value": float("inf")}, "is not true or false"),
        ({"value": True, "times": 3}, "write `value`"),
        ({"on_s": 1, "off_s": 1, "times": 1.5}, "not a whole number"),
        ({"on_s": 1, "off_s": 1, "times": 80_000}, "lasts longer than"),
    ],
)
async def test_a_wrong_command_is_refused_and_switches_nothing(parameters, words, tmp_path):
    async with world_of(tmp_path) as gpio, driving(gpio, LAMP) as bridged:
        result = await tell(bridged, "lamp", **parameters)
        assert not result.ok
        assert words in result.detail
        assert gpio.level("GPIO22") == 0


async def test_unknown_outputs_are_refused(tmp_path):
    async with world_of(tmp_path) as gpio, driving(gpio, LAMP) as bridged:
        assert "Known are lamp, all_safe" in (await tell(bridged, "light", value=True)).detail


async def test_a_bounded_time_ends_and_is_reported(tmp_path):
    async with world_of(tmp_path) as gpio, driving(gpio, LAMP) as bridged:
        assert (await tell(bridged, "lamp", value=True, **{"for": 0.1})).ok
        assert gpio.level("GPIO22") == 1
        assert (await bridged.sample())["lamp"].value is False
        assert gpio.level("GPIO22") == 0
        await tell(bridged, "lamp", value=True, **{"for": 0.1})
        await tell(bridged, "lamp", value=True)
        await asyncio.sleep(0.2)
        assert gpio.level("GPIO22") == 1, "a later command ends what was to happen"


async def test_a_blink_pattern(tmp_path):
    async with world_of(tmp_path) as gpio:
        levels = []
        gpio.chips["gpiochip0"].on_level = lambda line, level: levels.append(level)
        async with driving(gpio, LAMP) as bridged:
            levels.clear()
            assert (await tell(bridged, "lamp", on_s=0.02, off_s=0.01, times=4)).ok
            assert (await bridged.sample())["lamp"].value is False
            assert levels == [1, 0] * 4


async def test_pwm_has_its_duty_and_frequency(tmp_path):
    fan = {"name": "fan", "line": "GPIO12", "kind": "pwm", "frequency": 50}
    async with world_of(tmp_path) as gpio:
        edges = []
        gpio.chips["gpiochip0"].on_level = lambda line, level: edges.append(
            (asyncio.get_running_loop().time(), level)
        )
        async with driving(gpio, fan) as bridged:
            result = await tell(bridged, "fan", value=0.25)
            assert [(r.value, r.unit) for r in result.readings] == [(0.25, "/")]
            edges.clear()
            await until(lambda: len(edges) > 100)
            on = sum(after - at for (at, level), (after, _) in itertools.pairwise(edges) if level)
            assert on / (edges[-1][0] - edges[0][0]) == pytest.approx(0.25, abs=0.1)
            assert len(edges) / 2 / (edges[-1][0] - edges[0][0]) == pytest.approx(50, rel=0.1)
            assert (await tell(bridged, "fan", value=1)).ok
            assert gpio.level("GPIO12") == 1
            assert "is not a number from 0 to 1" in (await tell(bridged, "fan", value=2)).detail
            for value, duty in (("OFF", 0), ("ON", 1), (False, 0), (True, 1)):
                assert [r.value for r in (await tell(bridged, "fan", value=value)).readings] == [duty]


async def test_least_and_longest_times(tmp_path):
    pump = {"name": "pump", "line": "GPIO17", "min_on": 0.2, "min_off": 0.2, "max_on": 0.5}
    async with world_of(tmp_path) as gpio, driving(gpio, pump) as bridged:
        assert "has to stay off for another" in (await tell(bridged, "pump", value=True)).detail
        async with asyncio.timeout(60):
            while not (await tell(bridged, "pump", value=True)).ok:
                await asyncio.sleep(0.01)
        assert "has to stay on for another" in (await tell(bridged, "pump", value=False)).detail
        assert (await bridged.sample())["pump"].value is False, "after max_on"
        assert gpio.level("GPIO17") == 0
        assert (await tell(bridged, "all_safe")).ok


SHUTTER = [{"name": "up", "line": "GPIO5", "group": "shutter"}, {"name": "down", "line": "GPIO6", "group": "shutter"}]


async def test_two_of_a_group_are_never_on(tmp_path):
    async with world_of(tmp_path) as gpio, driving(gpio, *SHUTTER) as bridged:
        assert (await tell(bridged, "up", value=True)).ok
        result = await tell(bridged, "down", value=True)
        assert (result.ok, "up is on, and both belong to 'shutter'" in result.detail) == (False, True)
        assert gpio.level("GPIO6") == 0
        await tell(bridged, "up", value=False)
        assert (await tell(bridged, "down", value=True)).ok


OPERATIONS = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(["up", "down", "rest", "fan"]), st.booleans()),
    st.tuples(st.just("pwm"), st.just("fan"), st.sampled_from([0.5, 0.0])),
    st.tuples(st.sampled_from(["for", "blink"]), st.sampled_from(["up", "down", "rest"]), st.just(0.01)),
    st.tuples(st.just("contact"), st.just(""), st.integers(0, 1)),
    st.tuples(st.just("wait"), st.just(""), st.sampled_from([0.005, 0.15, 1.5])),
    st.tuples(st.just("set"), st.just("rest"), st.just(False)),
    st.tuples(st.just("fail"), st.sampled_from(["GPIO5", "GPIO6", "GPIO7", "GPIO12"]), st.integers(0, 3)),
    st.tuples(st.just("slow"), st.just(""), st.sampled_from([0.05, 0.5, 2.5])),
    st.tuples(st.just("given up"), st.sampled_from(["up", "down", "rest"]), st.booleans()),
    st.tuples(
        st.sampled_from(["safe", "lost", "found", "refused", "accepted", "restart", "unplug", "repair"]),
        st.just(""),
        st.just(0),
    ),
)


@settings(suppress_health_check=list(HealthCheck))
@given(operations=st.lists(OPERATIONS, max_size=25), together=st.booleans())
def test_whatever_happens_two_of_a_group_are_never_on(operations, together, tmp_path_factory):
    group = ("GPIO5", "GPIO6", "GPIO7", "GPIO12")
    outputs = [
        *SHUTTER,
        {"name": "rest", "line": "GPIO7", "group": "shutter", "safe": True},
        {"name": "fan", "line": "GPIO12", "group": "shutter", "kind": "pwm", "frequency": 200},
    ]
    rules = [{"reading": "contact", "output": "up", "on_when": True}]
    contact = {"kind": "contact", "name": "contact", "line": "GPIO4"}
    worst = 0

    async def check():
        async with world_of(tmp_path_factory.mktemp("gpio")) as gpio:

            def look(line, level):
                nonlocal worst
                worst = max(worst, sum(gpio.level(name) for name in group))

            gpio.chips["gpiochip0"].on_level = look
            running = []
            members = {"gpio": {"path": f"sim:{gpio.path}"}, "outputs": outputs, "inputs": [contact], "rules": rules}
            members |= {"watchdog": False, "node_timeout": 0.001}

            async def start():
                service = DigitalOutputs(settings_of(DigitalOutputs, **members))
                with contextlib.suppress(DeviceError):
                    await service.open()
                running[:] = [service, asyncio.ensure_future(consume(service))]

            async def consume(service):
                with contextlib.suppress(DeviceError):
                    async for _ in service.stream():
                        pass

            async def stop():
                """As the runtime does it, but with commands that go on during that."""
                service, task = running
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                closing = asyncio.ensure_future(service.close())
                while not closing.done():
                    with contextlib.suppress(DeviceError, ValueError):
                        await service.execute(Command(name="up", parameters={"value": True}))
                    await asyncio.sleep(0.001)
                await closing

            def fail(line, times):
                """The chip refuses to switch a line so many times; 0: until it is repaired."""
                chip = gpio.chips["gpiochip0"]
                if (request := chip.lines[chip.offset(line)].request) is None:
                    return
                inner, left = type(request).set, times or 10**6

                def refuse(mask, bits):
                    nonlocal left
                    left -= 1
                    if left < 0:
                        return inner(request, mask, bits)
                    raise OSError(errno.EIO, "no")

                request.set = refuse

            def repair():
                gpio.answer_delay_s = 0.0
                for line in gpio.chips["gpiochip0"].lines:
                    if line.request is not None:
                        vars(line.request).pop("set", None)

            refused = SettingsStatus()
            refused.refuse("given", "x")

            async def do(kind, name, value):
                service = running[0]
                parameters = {
                    "set": {"value": value},
                    "pwm": {"value": value},
                    "for": {"value": True, "for": value},
                    "blink": {"on_s": 0.01, "off_s": 0.01, "times": 2},
                }
                with contextlib.suppress(DeviceError, ValueError):
                    if kind in parameters:
                        await service.execute(Command(name=name, parameters=parameters[kind]))
                    elif kind == "safe":
                        await service.execute(Command(name="all_safe"))
                    elif kind in ("lost", "found"):
                        service.node.is_connected = lambda: kind == "found"
                    elif kind in ("refused", "accepted"):
                        service.node = NodeState(service.node.is_connected, refused if kind == "refused" else None)
                    elif kind == "contact":
                        gpio.drive("GPIO4", value)
                    elif kind == "unplug":
                        gpio.disconnect()
                    elif kind == "fail":
                        fail(name, value)
                    elif kind == "slow":
                        gpio.answer_delay_s = value
                    elif kind == "repair":
                        repair()
                    elif kind == "given up":
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(0.03):
                                await service.execute(Command(name=name, parameters={"value": value}))
                    elif kind == "wait":
                        await asyncio.sleep(value)

            await start()
            try:
                for kind, name, value in operations:
                    if kind == "restart":
                        await stop()
                        await start()
                    elif together:
                        task = asyncio.ensure_future(do(kind, name, value))
                        await asyncio.sleep(0)
                    else:
                        await do(kind, name, value)
                await asyncio.sleep(0.01)
                if together and operations and operations[-1][0] != "restart":
                    await task
                repair()
                await asyncio.sleep(20)  # whatever has failed is known again, and safe
                for name in () if running[0].safety.reason_to_hold else ("up", "down"):
                    await running[0].execute(Command(name="all_safe"))
                    await running[0].execute(Command(name="rest", parameters={"value": False}))
                    result = await running[0].execute(Command(name=name, parameters={"value": True}))
                    assert result.ok, result.detail
            finally:
                await stop()
            assert [gpio.level(name) for name in group] == [0, 0, 1, 0]

    run(check())
    assert worst <= 1


def test_an_output_that_may_be_on_counts_as_on():
    interlock = Interlock({"a": Limits(group="g"), "b": Limits(group="g")})
    interlock.life = Life.OPEN
    interlock.mark_switched("b", False, 0.0)
    assert "a may be on" in interlock.conflict("b"), "nobody has switched it yet"
    interlock.mark_switched("a", True, 1.0)
    interlock.mark_uncertain("a")
    interlock.mark_switched("a", False, 2.0)
    assert interlock.reason_against("b", True, 3.0) == ""
    interlock.mark_uncertain("a")
    assert "a may be on" in interlock.reason_against("b", True, 3.0)


async def test_a_short_circuit_is_reported(tmp_path):
    async with world_of(tmp_path) as gpio, driving(gpio, LAMP) as bridged:
        gpio.drive("GPIO22", 0)
        result = await tell(bridged, "lamp", value=True)
        assert (result.ok, "overload or short circuit" in result.detail) == (False, True)
        assert result.readings[0].quality is Quality.UNCERTAIN


async def test_losing_the_node_brings_the_safe_state_and_a_rule_goes_on(tmp_path):
    members = {
        "inputs": [{"kind": "contact", "name": "door", "line": "GPIO4"}],
        "rules": [{"reading": "door", "output": "light", "on_when": True}],
        "node_timeout": 0.1,
    }
    async with (
        world_of(tmp_path) as gpio,
        driving(gpio, LAMP, {"name": "light", "line": "GPIO17"}, **members) as bridged,
    ):
        gpio.drive("GPIO4", 1)
        await until(lambda: gpio.level("GPIO17") == 1)
        await tell(bridged, "lamp", value=True)
        bridged.is_connected = False
        await until(lambda: gpio.level("GPIO22") == 0)
        assert gpio.level("GPIO17") == 1
        gpio.drive("GPIO4", 0)
        await until(lambda: gpio.level("GPIO17") == 0)
        bridged.is_connected = True
        assert (await tell(bridged, "lamp", value=True)).ok


async def test_a_rule_that_has_to_wait_is_followed_later(tmp_path):
    members = {
        "inputs": [{"kind": "contact", "name": "door", "line": "GPIO4"}],
        "rules": [{"reading": "door", "output": "lamp", "on_when": True}],
    }
    async with world_of(tmp_path) as gpio:
        gpio.drive("GPIO4", 1)
        async with driving(gpio, LAMP | {"min_off": 0.3}, **members) as bridged:
            assert gpio.level("GPIO22") == 0
            await until(lambda: gpio.level("GPIO22") == 1)
            bridged.settings.refuse("given", "outputs: is missing")
            await until(lambda: gpio.level("GPIO22") == 0)
            bridged.settings.clear("given")
            await until(lambda: gpio.level("GPIO22") == 1)


async def test_settings_that_are_refused_bring_the_safe_state(tmp_path):
    async with world_of(tmp_path) as gpio, driving(gpio, LAMP) as bridged:
        await tell(bridged, "lamp", value=True)
        bridged.settings.refuse("given", "outputs: is missing")
        await until(lambda: gpio.level("GPIO22") == 0)
        assert "until settings are good again" in (await tell(bridged, "lamp", value=True)).detail
        bridged.settings.clear("given")
        assert (await tell(bridged, "lamp", value=True)).ok


async def test_a_chip_that_goes_and_comes_again_is_safe_then(tmp_path):
    async with world_of(tmp_path) as gpio, driving(gpio, LAMP) as bridged:
        await tell(bridged, "lamp", value=True)
        gpio.disconnect()
        assert (await bridged.sample())["lamp"].quality is Quality.BAD
        await until(lambda: gpio.level("GPIO22") == 0)
        assert (await bridged.sample())["lamp"].value is False
        assert (await tell(bridged, "lamp", value=True)).ok


async def test_a_chip_that_is_lost_while_an_output_is_read_back_costs_no_more_than_that(tmp_path, caplog):
    async with world_of(tmp_path) as gpio, driving(gpio, LAMP) as bridged:
        await tell(bridged, "lamp", value=True)
        for _ in range(3):
            gpio.disconnect()
            await until(lambda: gpio.level("GPIO22") == 0)
            await asyncio.sleep(10)
            assert (await tell(bridged, "lamp", value=True)).ok
    assert "unexpected error" not in caplog.text


@contextlib.asynccontextmanager
async def service_process(gpio, **members):
    """The service as a process, whose lamp is on because a contact is."""
    is_running = members.pop("until", lambda: gpio.level("GPIO22") == 1)
    before = members.pop("before", ())
    told = {"gpio": {"path": f"sim:{gpio.path}"}, "outputs": [LAMP], "node_timeout": 0}
    told |= {"inputs": [{"kind": "contact", "name": "door", "line": "GPIO4"}]}
    told |= {"rules": [{"reading": "door", "output": "lamp", "on_when": True}]} | members
    gpio.drive("GPIO4", 1)
    process = await asyncio.create_subprocess_exec(
        *(*before, sys.executable, "-m", "digital_outputs"),
        env=os.environ
        | {"IOFOG_LINK": "console:"}
        | {f"SETTING_{k.upper()}": json.dumps(v) for k, v in told.items()},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await until(is_running)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.clock("real")
async def test_a_killed_service_leaves_its_outputs_safe(tmp_path):
    async with world_of(tmp_path) as gpio, service_process(gpio) as process:
        process.send_signal(signal.SIGKILL)
        await until(lambda: gpio.level("GPIO22") == 0)


@pytest.mark.clock("real")
async def test_without_a_guard_a_killed_service_leaves_them_as_they_are(tmp_path):
    async with world_of(tmp_path) as gpio, service_process(gpio, watchdog=False) as process:
        process.send_signal(signal.SIGKILL)
        await until(lambda: gpio.chips["gpiochip0"].lines[22].request is None)
        assert gpio.level("GPIO22") == 1, "else the test above could not fail"


@pytest.mark.clock("real")
async def test_an_orderly_end_leaves_outputs_safe_and_no_process(tmp_path):
    async with world_of(tmp_path) as gpio, service_process(gpio) as process:
        guard = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert gpio.level("GPIO22") == 0
        with pytest.raises(ProcessLookupError):
            os.kill(guard, 0)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"outputs": []}, "outputs"),
        ({"outputs": [LAMP, LAMP]}, "outputs.name"),
        ({"outputs": [LAMP], "inputs": [{"kind": "contact", "name": "lamp", "line": "1"}]}, "outputs.name"),
        ({"outputs": [s | {"safe": True} for s in SHUTTER]}, "outputs.safe"),
        ({"outputs": [LAMP], "rules": [{"reading": "x", "output": "lamp", "on_when": True}]}, "rules.reading"),
        ({"outputs": [LAMP], "rules": [{"reading": "x", "output": "light", "on_when": True}]}, "rules.output"),
        ({"outputs": [LAMP], "rules": [{"reading": "x", "output": "lamp"}]}, "rules"),
        ({"outputs": [LAMP | {"frequency": 1000}]}, "outputs"),
    ],
)
def test_wrong_settings_name_the_field(members, field):
    with pytest.raises(SettingsError) as caught:
        DigitalOutputs.check_settings(settings_of(DigitalOutputs, **members))
    assert field in caught.value.field


def test_old_names_of_settings_are_accepted():
    settings = settings_of(DigitalOutputs, outputs=[LAMP], hold=5, guard=False)
    assert (settings.node_timeout, settings.watchdog) == (5, False)


async def test_the_emulated_world_obeys(tmp_path):
    async with world_of(tmp_path) as gpio:
        wire(gpio)
        members = settings_for(gpio) | {"watchdog": False, "report_interval": 60}
        async with bridging(DigitalOutputs, settings_of(DigitalOutputs, **members)) as bridged:
            await bridged.sample()
            assert (await tell(bridged, "relay", value=True)).ok
            await bridged.sample(lambda found: found.get("relay_feedback") and found["relay_feedback"].value is True)


async def test_a_full_outbox_that_pauses_reading_holds_back_no_rule(tmp_path):
    has_room, emitted = asyncio.Event(), []
    members = {
        "outputs": [LAMP],
        "inputs": [{"kind": "contact", "name": "door", "line": "GPIO17"}],
        "rules": [{"reading": "door", "output": "lamp", "on_when": True}],
        "watchdog": False,
    }
    async with world_of(tmp_path) as gpio:
        settings = settings_of(DigitalOutputs, gpio={"path": f"sim:{gpio.path}"}, **members)
        supervisor = Supervisor(DigitalOutputs, settings, emitted.extend, has_room.wait)
        running = asyncio.ensure_future(supervisor.run())
        await until(lambda: emitted)
        for level in (1, 0) * 20:
            gpio.drive("GPIO17", level)
            await until(lambda level=level: gpio.level("GPIO22") == level)
        has_room.set()
        await asyncio.sleep(1)
        assert [r.value for r in emitted if r.name == "door"][-40:] == [True, False] * 20, "and nothing was lost"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
