"""GPIO outputs when something goes wrong: failed writes, slow and busy chips, processes that die, the end."""

import asyncio
import contextlib
import errno
import gc
import itertools
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from device_bridge import Command, CommandError, Quality
from device_bridge.buses import GpioLines, LineConfig
from device_bridge.control import Totals
from digital_outputs.service import DigitalOutputs

from .serving import bridging, settings_of
from .test_digital_outputs import LAMP, SHUTTER, driving, service_process, tell, until, world_of

pytestmark = pytest.mark.clock("movable")
REAL = pytest.mark.clock("real")
"""For what starts processes."""


def failing(gpio, line, number=errno.EIO):
    """Has the emulated chip refuse to switch a line; returns what ends that."""
    chip = gpio.chips["gpiochip0"]
    request = chip.lines[chip.offset(line)].request

    def refuse(mask, bits):
        raise OSError(number, "no")

    request.set = refuse
    return lambda: delattr(request, "set")


INTERLOCKED = [
    {"name": "a", "line": "GPIO5", "group": "g", "safe": True},
    {"name": "b", "line": "GPIO6", "group": "g"},
]


@REAL
async def test_a_killed_service_never_has_two_of_a_group_on(tmp_path):
    async with world_of(tmp_path) as gpio:
        worst = []
        gpio.chips["gpiochip0"].on_level = lambda line, level: worst.append(gpio.level("GPIO5") + gpio.level("GPIO6"))
        rules = [{"reading": "door", "output": name, "on_when": on} for name, on in (("b", True), ("a", False))]
        for _ in range(3):
            members = {"outputs": [*INTERLOCKED], "rules": rules, "until": lambda: gpio.level("GPIO6") == 1}
            async with service_process(gpio, **members) as process:
                worst.clear()
                process.send_signal(signal.SIGKILL)
                await until(lambda: (gpio.level("GPIO5"), gpio.level("GPIO6")) == (1, 0))
                assert max(worst) == 1
                await until(lambda: gpio.chips["gpiochip0"].lines[5].request is None)


async def test_a_failed_off_keeps_the_others_of_its_group_off_and_is_reported(tmp_path, caplog):
    async with world_of(tmp_path) as gpio, driving(gpio, *INTERLOCKED, LAMP) as bridged:
        assert (await tell(bridged, "a", value=False)).ok
        assert (await tell(bridged, "b", value=True)).ok
        repair = failing(gpio, "GPIO6")
        result = await tell(bridged, "all_safe")
        assert not result.ok
        assert (gpio.level("GPIO5"), gpio.level("GPIO6")) == (0, 1)
        assert "b: bus fault" in caplog.text
        refused = await tell(bridged, "a", value=True)
        assert "b may be on" in refused.detail
        assert (await tell(bridged, "lamp", value=True)).ok, "the others go on"
        found = await bridged.sample(lambda found: "b" in found and found["b"].value is None)
        assert found["b"].quality is Quality.BAD
        repair()
        await until(lambda: gpio.level("GPIO6") == 0)
        await bridged.sample(lambda found: "b" in found and found["b"].value is False)
        assert (await tell(bridged, "a", value=True)).ok


FOUR = [
    {"name": "b", "line": "GPIO5", "group": "g"},
    {"name": "a", "line": "GPIO8", "group": "g", "safe": True},
    {"name": "c", "line": "GPIO6", "group": "g"},
    {"name": "d", "line": "GPIO7", "group": "g"},
]
OFFS = {one["name"]: one["line"] for one in FOUR if "safe" not in one}


@pytest.mark.parametrize("path", ["command", "node lost", "reload", "settings refused"])
@pytest.mark.parametrize("failing_one", OFFS)
@pytest.mark.parametrize("on", OFFS)
async def test_whichever_off_fails_on_whichever_path_nothing_goes_on_beside_it(
    path, failing_one, on, tmp_path, caplog
):
    async with world_of(tmp_path) as gpio, driving(gpio, *FOUR, LAMP, node_timeout=0.2) as bridged:
        worst = []
        gpio.chips["gpiochip0"].on_level = lambda *_: worst.append(sum(gpio.level(one["line"]) for one in FOUR))
        assert (await tell(bridged, "a", value=False)).ok
        assert (await tell(bridged, on, value=True)).ok
        assert (await tell(bridged, "lamp", value=True)).ok
        repair = failing(gpio, OFFS[failing_one])
        if path == "command":
            assert not (await tell(bridged, "all_safe")).ok
        elif path == "node lost":
            bridged.is_connected = False
        elif path == "settings refused":
            bridged.settings.refuse("given", "x")
        else:
            settings = {"gpio": {"path": f"sim:{gpio.path}"}, "outputs": FOUR, "watchdog": False}
            bridged.bridge.apply(settings_of(DigitalOutputs, **settings))
        await until(lambda: gpio.level("GPIO22") == 0)
        if path == "reload":
            assert f"{failing_one} could not be brought into its safe state" in caplog.text
        else:
            await bridged.sample(lambda found: failing_one in found and found[failing_one].quality is Quality.BAD)
            assert gpio.level("GPIO8") == 0
            failures = {m.labels["member"]: m.value for m in bridged.metrics() if "member_failures" in m.name}
            assert failures.pop(failing_one) > 0
            assert not any(failures.values())
            repair()
            await until(lambda: gpio.level(OFFS[failing_one]) == 0)
            await bridged.sample(lambda found: failing_one in found and found[failing_one].value is False)
        assert max(worst) == 1
        assert f"{failing_one}: bus fault" in caplog.text


@REAL
@pytest.mark.parametrize("failing_one", ["b", "d"])
async def test_whichever_off_fails_the_guard_switches_nothing_on_beside_it(failing_one, tmp_path):
    async with world_of(tmp_path) as gpio:
        rules = [{"reading": "door", "output": name, "on_when": name == failing_one} for name in ("a", failing_one)]
        line = OFFS[failing_one]
        members = {"outputs": FOUR, "rules": rules, "until": lambda: gpio.level(line) == 1}
        async with service_process(gpio, **members) as process:
            worst = []
            gpio.chips["gpiochip0"].on_level = lambda *_: worst.append(sum(gpio.level(one["line"]) for one in FOUR))
            tried = []
            chip = gpio.chips["gpiochip0"]
            chip.lines[chip.offset(line)].request.set = lambda mask, bits: refuse(tried)
            process.send_signal(signal.SIGKILL)
            await until(lambda: len(tried) >= 3)
            assert (gpio.level("GPIO8"), gpio.level(line)) == (0, 1)
            del chip.lines[chip.offset(line)].request.set
            await until(lambda: (gpio.level("GPIO8"), gpio.level(line)) == (1, 0))
            assert max(worst) == 1


def refuse(tried):
    tried.append(1)
    raise OSError(errno.EIO, "no")


async def test_a_failed_on_is_made_safe_and_known_again(tmp_path):
    async with world_of(tmp_path) as gpio, driving(gpio, *SHUTTER) as bridged:
        repair = failing(gpio, "GPIO5")
        assert not (await tell(bridged, "up", value=True)).ok
        assert "up may be on" in (await tell(bridged, "down", value=True)).detail
        repair()
        async with asyncio.timeout(10):
            while not (await tell(bridged, "down", value=True)).ok:
                await asyncio.sleep(0.02)


async def test_an_unexpected_error_in_the_middle_of_a_pattern_leaves_no_output_on(tmp_path, caplog, monkeypatch):
    async with world_of(tmp_path) as gpio, driving(gpio, LAMP) as bridged:
        real = GpioLines.set

        async def fail_once(lines, *levels):
            monkeypatch.setattr(GpioLines, "set", real)
            raise ZeroDivisionError("unexpected")

        assert (await tell(bridged, "lamp", on_s=0.2, off_s=0.2, times=100)).ok
        await until(lambda: gpio.level("GPIO22") == 1)
        monkeypatch.setattr(GpioLines, "set", fail_once)
        await until(lambda: "lamp: ZeroDivisionError('unexpected')" in caplog.text)
        await until(lambda: gpio.level("GPIO22") == 0)
        assert (await tell(bridged, "lamp", value=True)).ok


async def test_an_answer_after_the_command_has_timed_out_leaves_the_output_uncertain_until_it_is_safe(tmp_path):
    async with world_of(tmp_path) as gpio, driving(gpio, *SHUTTER) as bridged:
        gpio.answer_delay_s = 0.4
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):  # as the runtime does by command_timeout
                await tell(bridged, "up", value=True, **{"for": 60})
        await until(lambda: gpio.level("GPIO5") == 1)  # the chip has done it, later
        gpio.answer_delay_s = 0.0
        assert "up may be on" in (await tell(bridged, "down", value=True)).detail
        await until(lambda: gpio.level("GPIO5") == 0)
        found = await bridged.sample(lambda found: "up" in found and found["up"].quality is Quality.GOOD)
        assert found["up"].value is False


async def test_a_command_that_is_given_up_takes_no_time_limit_away(tmp_path):
    async with world_of(tmp_path) as gpio, driving(gpio, LAMP) as bridged:
        assert (await tell(bridged, "lamp", value=True, **{"for": 0.5})).ok
        gpio.answer_delay_s = 0.2
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await tell(bridged, "lamp", value=True, **{"for": 60})
        gpio.answer_delay_s = 0.0
        await until(lambda: gpio.level("GPIO22") == 0)


@REAL
async def test_nothing_goes_on_once_closing_has_begun(tmp_path):
    members = {
        "outputs": [LAMP, *SHUTTER],
        "inputs": [{"kind": "contact", "name": "door", "line": "GPIO4"}],
        "rules": [{"reading": "door", "output": "up", "on_when": True}],
        "watchdog": True,
    }
    async with world_of(tmp_path) as gpio:
        service = DigitalOutputs(settings_of(DigitalOutputs, gpio={"path": f"sim:{gpio.path}"}, **members))
        await service.open()
        samples = service.stream()
        await anext(samples)
        for command in ({"value": True}, {"on_s": 0.01, "off_s": 0.01, "times": 1000}):
            await service.execute(Command(name="lamp", parameters=command))
        switched_on = []
        closing = asyncio.ensure_future(service.close())
        await asyncio.sleep(0)
        gpio.chips["gpiochip0"].on_level = lambda line, level: switched_on.append((line, level)) if level else None
        gpio.drive("GPIO4", 1)
        while not closing.done():
            with contextlib.suppress(CommandError):
                await service.execute(Command(name="lamp", parameters={"value": True}))
            await asyncio.sleep(0)
        await closing
        with pytest.raises(CommandError):
            await service.execute(Command(name="lamp", parameters={"value": True}))
        assert switched_on == []
        assert gpio.level("GPIO22") == gpio.level("GPIO5") == 0
        await samples.aclose()
        await service.close()  # inputs have opened lines again, which the runtime would have stopped
        gc.collect()  # an open socket is an error here, and not in whichever test comes next


async def test_a_reload_under_a_storm_of_commands_leaves_nothing_on(tmp_path):
    async with world_of(tmp_path) as gpio:
        members = {"gpio": {"path": f"sim:{gpio.path}"}, "watchdog": False}
        both = settings_of(DigitalOutputs, outputs=[LAMP, {"name": "pump", "line": "GPIO17"}], **members)
        one = settings_of(DigitalOutputs, outputs=[LAMP], **members)
        async with bridging(DigitalOutputs, both) as bridged:
            storm = asyncio.ensure_future(_storm(bridged))
            for _ in range(10):
                await until(lambda: gpio.level("GPIO17") == 1)
                bridged.bridge.apply(one)
                await until(lambda: gpio.chips["gpiochip0"].lines[17].request is None)
                for _ in range(20):
                    assert gpio.level("GPIO17") == 0
                    await asyncio.sleep(0.002)
                bridged.bridge.apply(both)
            storm.cancel()


async def _storm(bridged):
    while True:
        await tell(bridged, "pump", value=True)
        await asyncio.sleep(0.002)


@REAL
async def test_a_watchdog_that_dies_is_reported_and_started_again(tmp_path, caplog):
    async with world_of(tmp_path) as gpio, driving(gpio, LAMP, watchdog=True) as bridged:
        guard = bridged.bridge._service.bank.guard
        await tell(bridged, "lamp", value=True)
        first = guard.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: guard.pid not in (first, None))
        assert "the watchdog process has died" in caplog.text
        assert bridged.bridge.counters()["watchdog_restarts"] == 1
        assert (await tell(bridged, "lamp", value=True)).ok


@REAL
async def test_without_a_watchdog_process_outputs_go_safe_and_stay_so(tmp_path, monkeypatch):
    async with world_of(tmp_path) as gpio, driving(gpio, LAMP, watchdog=True) as bridged:
        guard = bridged.bridge._service.bank.guard
        await tell(bridged, "lamp", value=True)
        starting = asyncio.create_subprocess_exec

        async def refuse(*_, **__):
            raise OSError(errno.EAGAIN, "no more processes")

        monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
        os.kill(guard.pid, signal.SIGKILL)
        await until(lambda: gpio.level("GPIO22") == 0)
        assert not (await tell(bridged, "lamp", value=True)).ok
        await until(lambda: "no more processes" in bridged.bridge.reason)
        assert not bridged.bridge.is_up
        assert not (await tell(bridged, "lamp", value=True)).ok
        assert (await bridged.sample(lambda found: found["lamp"].value is None))["lamp"].quality is Quality.BAD
        monkeypatch.setattr(asyncio, "create_subprocess_exec", starting)
        async with asyncio.timeout(20):
            while not (await tell(bridged, "lamp", value=True)).ok:
                await asyncio.sleep(0.05)


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@REAL
async def test_service_and_watchdog_killed_one_after_the_other(tmp_path):
    async with world_of(tmp_path) as gpio, service_process(gpio) as process:
        (first,) = children_of(process.pid)
        os.kill(first, signal.SIGKILL)
        await until(lambda: {*children_of(process.pid)} - {first})
        process.send_signal(signal.SIGKILL)
        await until(lambda: gpio.level("GPIO22") == 0)


@REAL
async def test_a_service_that_stands_still_is_killed_and_its_outputs_go_safe(tmp_path):
    async with world_of(tmp_path) as gpio, service_process(gpio, watchdog_timeout=4) as process:
        process.send_signal(signal.SIGSTOP)
        await until(lambda: gpio.level("GPIO22") == 0)
        assert await process.wait() == -signal.SIGKILL


CONTAINER = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--")
HAS_CONTAINERS = shutil.which("unshare") and not subprocess.call([*CONTAINER, "true"])


@REAL
@pytest.mark.skipif(not HAS_CONTAINERS, reason="needs unshare of util-linux, and user namespaces")
async def test_in_a_container_whose_service_is_killed_outputs_go_safe(tmp_path):
    """The kernel ends all processes of a container with its first one: that is not the service."""
    async with world_of(tmp_path) as gpio, service_process(gpio, before=CONTAINER) as container:
        (first,) = children_of(container.pid)
        (service,) = children_of(first)
        os.kill(service, signal.SIGKILL)
        await until(lambda: gpio.level("GPIO22") == 0)
        assert await container.wait() == 128 + signal.SIGKILL


@REAL
@pytest.mark.skipif(not HAS_CONTAINERS, reason="needs unshare of util-linux, and user namespaces")
async def test_in_a_container_an_orderly_end_is_one(tmp_path):
    async with world_of(tmp_path) as gpio, service_process(gpio, before=CONTAINER) as container:
        (first,) = children_of(container.pid)
        os.kill(first, signal.SIGTERM)
        assert await container.wait() == 0
        assert gpio.level("GPIO22") == 0


async def test_a_busy_output_costs_the_others_nothing(tmp_path, caplog):
    async with world_of(tmp_path) as gpio:
        chip = gpio.chips["gpiochip0"]
        taken = chip.request([5], LineConfig(output=True)._asdict(), 16, "spi0")
        async with driving(gpio, LAMP, *SHUTTER) as bridged:
            assert (await tell(bridged, "lamp", value=True)).ok
            refused = await tell(bridged, "up", value=True)
            assert "in use by spi0" in refused.detail
            assert "up may be on" in (await tell(bridged, "down", value=True)).detail
            assert caplog.text.count("in use by spi0") == 1
            taken.release()
            async with asyncio.timeout(20):
                while not (await tell(bridged, "up", value=True)).ok:
                    await asyncio.sleep(0.02)
            assert gpio.level("GPIO22") == 1


@pytest.mark.parametrize("again", [True, False])
async def test_an_output_is_kept_over_a_planned_restart(tmp_path, again):
    kept = {"name": "kept", "line": "GPIO17", "on_stop": "keep"}
    file = tmp_path / "totals.json"
    async with world_of(tmp_path) as gpio:
        totals, levels = Totals(file), []
        members = {"gpio": {"path": f"sim:{gpio.path}"}, "outputs": [kept, LAMP], "watchdog": False}
        settings = settings_of(DigitalOutputs, **members)
        async with bridging(DigitalOutputs, settings, totals) as bridged:
            await bridged.sample()
            for name in ("kept", "lamp"):
                assert (await tell(bridged, name, value=True)).ok
        totals.save()
        assert (gpio.level("GPIO17"), gpio.level("GPIO22")) == (1, 0)
        if not again:  # as after a start of the machine, or much later
            file.unlink()
        gpio.chips["gpiochip0"].on_level = lambda line, level: levels.append((line, level))
        async with bridging(DigitalOutputs, settings, Totals(file)) as bridged:
            assert (await bridged.sample())["kept"].value is again
            assert levels == ([] if again else [("GPIO17", 0)]), "not for an instant"
            assert (await tell(bridged, "all_safe")).ok
            assert gpio.level("GPIO17") == 0


async def test_what_is_timed_or_uncertain_is_not_kept(tmp_path):
    kept = {"name": "kept", "line": "GPIO17", "on_stop": "keep"}
    async with world_of(tmp_path) as gpio:
        async with driving(gpio, kept) as bridged:
            assert (await tell(bridged, "kept", value=True, **{"for": 60})).ok
        assert gpio.level("GPIO17") == 0


PUMP = {"name": "pump", "line": "GPIO17"}


@pytest.mark.parametrize(
    ("limits", "parameters", "words"),
    [
        ({"min_on": 5}, {"value": True, "for": 1}, "min_on = 5 s at least"),
        ({"min_off": 5, "safe": True}, {"value": False, "for": 1}, "min_off = 5 s at least"),
        ({"max_on": 5}, {"value": True, "for": 6}, "on for 5 s at most"),
        ({"min_on": 5}, {"on_s": 1, "off_s": 6, "times": 2}, "min_on"),
        ({"min_off": 0.5}, {"on_s": 1, "off_s": 0.4, "times": 2}, "min_off"),
        ({"max_on": 5}, {"on_s": 6, "off_s": 1, "times": 2}, "on for 5 s at most"),
    ],
)
async def test_what_would_break_a_limit_is_refused_at_once(limits, parameters, words, tmp_path):
    async with world_of(tmp_path) as gpio, driving(gpio, PUMP | limits) as bridged:
        before = gpio.level("GPIO17")
        if limits.get("min_off") == 0.5:
            await asyncio.sleep(0.6)
        result = await tell(bridged, "pump", **parameters)
        assert (result.ok, words in result.detail) == (False, True), result.detail
        assert gpio.level("GPIO17") == before


async def test_a_second_time_on_counts_from_the_first(tmp_path):
    async with world_of(tmp_path) as gpio, driving(gpio, PUMP | {"max_on": 60}) as bridged:
        assert (await tell(bridged, "pump", value=True, **{"for": 60})).ok
        await asyncio.sleep(0.05)
        assert "at most now" in (await tell(bridged, "pump", value=True, **{"for": 60})).detail


@pytest.mark.parametrize("safe", [False, True])
async def test_a_pattern_at_its_limits_is_done_to_its_end(tmp_path, safe):
    limits = {"min_on": 0.03, "min_off": 0.03, "safe": safe}
    async with world_of(tmp_path) as gpio:
        edges = []
        async with driving(gpio, PUMP | limits) as bridged:
            await asyncio.sleep(0.05)
            gpio.chips["gpiochip0"].on_level = lambda line, level: edges.append(
                (asyncio.get_running_loop().time(), level)
            )
            result = await tell(bridged, "pump", on_s=0.03, off_s=0.03, times=5)
            assert result.ok, result.detail
            assert (await bridged.sample())["pump"].value is safe
            levels = [level for _, level in edges]
            assert levels == ([0, 1] * 5 if safe else [1, 0] * 5)
            pauses = [after - before for (before, _), (after, _) in itertools.pairwise(edges)]
            assert min(pauses) >= 0.025


async def test_a_pattern_has_its_group_for_itself(tmp_path):
    async with world_of(tmp_path) as gpio, driving(gpio, *SHUTTER) as bridged:
        assert (await tell(bridged, "up", on_s=0.02, off_s=0.3, times=2)).ok
        await until(lambda: gpio.level("GPIO5") == 0)
        assert "up is on" in (await tell(bridged, "down", value=True)).detail
        assert (await bridged.sample(lambda found: "up" in found))["up"].value is False
        assert (await tell(bridged, "down", value=True)).ok


async def test_rules_that_change_over_within_a_group_do_the_off_first(tmp_path):
    rules = [
        {"reading": "door", "output": "up", "on_when": True},
        {"reading": "door", "output": "down", "on_when": False},
    ]
    inputs = [{"kind": "contact", "name": "door", "line": "GPIO4"}]
    async with world_of(tmp_path) as gpio, driving(gpio, *SHUTTER, inputs=inputs, rules=rules) as bridged:
        await until(lambda: gpio.level("GPIO6") == 1)
        levels = []
        gpio.chips["gpiochip0"].on_level = lambda line, level: levels.append((line, level))
        for level, wanted in ((1, ["GPIO6", "GPIO5"]), (0, ["GPIO5", "GPIO6"])):
            levels.clear()
            gpio.drive("GPIO4", level)
            await until(lambda: len(levels) == 2)
            assert levels == [(wanted[0], 0), (wanted[1], 1)]
        assert bridged.bridge.counters()["safety_trips"] == 0


async def test_a_rule_does_nothing_until_its_reading_is_known(tmp_path):
    members = {
        "inputs": [{"kind": "counter", "name": "flow", "line": "GPIO4", "interval": 0.2}],
        "rules": [{"reading": "flow/rate", "output": "lamp", "on_below": 50, "off_above": 100}],
    }
    async with world_of(tmp_path) as gpio:
        gpio.pulses("GPIO4", 200, 400)
        switched = []
        gpio.chips["gpiochip0"].on_level = lambda line, level: switched.append(level)
        async with driving(gpio, LAMP, **members) as bridged:
            for _ in range(5):
                found = await bridged.sample(lambda found: "flow/rate" in found)
                assert found["flow/rate"].value == pytest.approx(200, rel=0.3)
            assert 1 not in switched


async def test_a_busy_input_beside_a_rule_driven_relay_moves_nothing(tmp_path):
    members = {
        "inputs": [
            {"kind": "contact", "name": "door", "line": "GPIO27"},
            {"kind": "contact", "name": "busy", "line": "GPIO4"},
        ],
        "rules": [{"reading": "door", "output": "lamp", "on_when": True}],
    }
    async with world_of(tmp_path) as gpio:
        chip = gpio.chips["gpiochip0"]
        chip.request([4], LineConfig()._asdict(), 16, "w1-gpio")
        gpio.drive("GPIO27", 1)
        moves = []
        chip.on_level = lambda line, level: moves.append((line, level))
        async with driving(gpio, LAMP, **members) as bridged:
            await until(lambda: gpio.level("GPIO22") == 1)
            moves.clear()
            await asyncio.sleep(10)
            assert moves == []
            told = [bridged.samples.get_nowait() for _ in range(bridged.samples.qsize())]
            assert sum("busy" in {reading.name for reading in sample} for sample in told) <= 1
            assert len(told) <= 3, "the two contacts, and the lamp that a rule has switched"
            assert bridged.bridge.failures == 0


async def test_a_rule_whose_own_input_is_busy_makes_its_output_safe_once(tmp_path):
    members = {
        "inputs": [{"kind": "contact", "name": "door", "line": "GPIO4"}],
        "rules": [{"reading": "door", "output": "lamp", "on_when": True}],
    }
    async with world_of(tmp_path) as gpio:
        chip = gpio.chips["gpiochip0"]
        taken = chip.request([4], LineConfig()._asdict(), 16, "w1-gpio")
        async with driving(gpio, LAMP, **members) as bridged:
            await asyncio.sleep(10)
            assert gpio.level("GPIO22") == 0
            gpio.drive("GPIO4", 1)
            taken.release()
            await until(lambda: gpio.level("GPIO22") == 1)
            assert (await tell(bridged, "lamp", value=False)).ok


async def test_a_safe_state_that_is_on_waits_for_another_of_its_group_that_a_rule_has_on(tmp_path):
    members = {
        "inputs": [{"kind": "contact", "name": "door", "line": "GPIO4"}],
        "rules": [{"reading": "door", "output": "b", "on_when": True}],
        "node_timeout": 0.1,
    }
    async with world_of(tmp_path) as gpio, driving(gpio, *INTERLOCKED, **members) as bridged:
        assert (await tell(bridged, "a", value=False)).ok
        gpio.drive("GPIO4", 1)
        await until(lambda: gpio.level("GPIO6") == 1)
        bridged.is_connected = False
        await until(lambda: bridged.bridge.counters()["safety_trips"])
        await asyncio.sleep(5)
        assert (gpio.level("GPIO5"), gpio.level("GPIO6")) == (0, 1)
