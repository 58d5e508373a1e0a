"""Commands: out of messages, in order, each answered once."""

import asyncio
import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Command, CommandedSettings, CommandError, Result
from device_bridge.runtime.commands import MAX_BYTES, MAX_WAITING, CommandRunner, parse_commands
from iofog_sdk import IoMessage

SENT_MS = 1_795_472_104_000


def message(content, message_id="m1", timestamp=None):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return IoMessage(
        id=message_id, timestamp=int(time.time() * 1000) if timestamp is None else timestamp, contentdata=data
    )


def test_a_plain_object_names_command_and_parameters():
    told = {"command": "set_range", "value": 2000, "id": 42, "time": 5.5, "unit": "g"}
    assert parse_commands(message(told)) == [
        Command(name="set_range", parameters={"value": 2000, "unit": "g"}, id="42", time=5.5)
    ]


def test_id_and_time_are_those_of_the_message_when_there_are_none():
    (command,) = parse_commands(message({"command": "tare"}, timestamp=SENT_MS))
    assert (command.id, command.time, command.value) == ("m1", SENT_MS / 1000, None)


def test_a_pack_sets_one_value_a_record_below_the_own_name():
    pack = [{"bn": "relays:", "n": "pump", "vb": True}, {"n": "valve", "v": 0.5}, {"n": "text", "vs": "on"}]
    commands = parse_commands(message(pack, timestamp=SENT_MS), "relays:")
    assert [(c.name, c.value) for c in commands] == [("pump", True), ("valve", 0.5), ("text", "on")]
    assert {c.time for c in commands} == {SENT_MS / 1000}


def test_a_packs_own_time_counts():
    assert parse_commands(message([{"n": "pump", "vb": True, "bt": 1_795_472_104}]))[0].time == 1_795_472_104


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"tare", "not JSON"),
        (b"", "not JSON"),
        (b"7", "not a SenML pack"),
        ([], "0 values"),
        ([{"n": "x", "v": 1}] * 101, "101 values"),
        ({"value": 1}, "`command` = None"),
        ({"command": ""}, "`command`"),
        ({"command": "x", "value": None}, "`value` = None"),
        ({"command": "x", "value": {"a": 1}}, "`value`"),
        ({"command": "x", "id": []}, "`id`"),
        ({"command": "x", "time": "now"}, "`time`"),
        (b"[" * 5000, "not JSON"),
        (b'{"command":"\xff"}', "not JSON"),
        ({"command": "x", "time": 10**400}, "too large|`time`"),
        (b" " * (MAX_BYTES + 1), "bytes of commands"),
    ],
)
def test_what_is_no_command_is_named(content, named):
    with pytest.raises(CommandError, match=named):
        parse_commands(message(content))


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_nothing_but_a_command_error_comes_of_garbage(content):
    with contextlib.suppress(CommandError):
        parse_commands(message(content.encode() if isinstance(content, str) else content))


class Bench:
    """A runner with a device that does what the test says."""

    def __init__(self, **settings):
        self.executed, self.results = [], []
        self.runner = CommandRunner(self._execute, self._report, CommandedSettings(**settings))
        self.hold = asyncio.Event()
        self.hold.set()

    async def _execute(self, command):
        await self.hold.wait()
        self.executed.append(command.name)
        if command.name == "explode":
            raise RuntimeError("bang")
        return Result(ok=command.name != "refuse", detail=f"did {command.name}")

    def _report(self, command, result, took_s):
        assert took_s >= 0
        self.results.append((command.name, result.ok, result.detail))

    async def through(self, *messages):
        for number, content in enumerate(messages):
            self.runner.take(
                content if isinstance(content, IoMessage) else message(content, f"m{number}"), base_name=""
            )
        task = asyncio.ensure_future(self.runner.run())
        async with asyncio.timeout(60):
            while self.runner.executed + self.runner.failed < len(messages):
                await asyncio.sleep(0.001)
        task.cancel()
        return self.results


async def test_they_are_executed_in_order_and_failures_stop_nothing():
    bench = Bench()
    results = await bench.through(*({"command": name} for name in ("a", "refuse", "explode", "b")))
    assert bench.executed == ["a", "refuse", "explode", "b"]
    assert [ok for _, ok, _ in results] == [True, False, False, True]
    assert "RuntimeError: bang" in results[2][2]


@pytest.mark.parametrize("age_s", [61, -61])
async def test_one_from_another_time_is_refused(age_s):
    bench = Bench(max_command_age=60)
    results = await bench.through(message({"command": "a"}, timestamp=int((time.time() - age_s) * 1000)))
    assert not bench.executed
    assert "max_command_age = 60 s" in results[0][2]


async def test_one_that_does_not_end_has_failed_and_the_next_works():
    bench = Bench(command_timeout=0.02)
    bench.hold.clear()
    bench.runner.take(message({"command": "stuck"}, "1"), "")
    task = asyncio.ensure_future(bench.runner.run())
    async with asyncio.timeout(60):
        while not bench.results:
            await asyncio.sleep(0.001)
        bench.hold.set()
        bench.runner.take(message({"command": "next"}, "2"), "")
        while len(bench.results) < 2:
            await asyncio.sleep(0.001)
    task.cancel()
    assert "command_timeout = 0.02 s" in bench.results[0][2]
    assert bench.results[1] == ("next", True, "did next")


async def test_a_message_that_comes_again_is_not_executed_again():
    bench = Bench()
    for _ in range(3):
        bench.runner.take(message({"command": "a"}, "same"), "")
    await bench.through(message({"command": "b"}, "other"))
    assert bench.executed[:2] == ["a", "b"][: len(bench.executed)]
    assert bench.executed.count("a") == 1


async def test_more_than_can_wait_have_failed_at_once():
    bench = Bench()
    for number in range(MAX_WAITING + 1):
        bench.runner.take(message({"command": "a"}, str(number)), "")
    assert bench.results == [("a", False, f"{MAX_WAITING} commands are waiting already")]


async def test_a_message_that_is_no_command_is_answered_too():
    bench = Bench()
    bench.runner.take(message(b"tare"), "")
    assert bench.results[0][1] is False
    assert "not JSON" in bench.results[0][2]


async def test_a_command_with_one_wrong_member_is_answered_by_its_name_and_id():
    answered = []
    runner = CommandRunner(None, lambda command, result, _: answered.append((command, result)), CommandedSettings())
    runner.take(message({"command": "tare", "id": "42", "value": [1]}, "m1"), "")
    runner.take(message({"command": "tare", "id": "43", "time": "noon"}, "m2"), "")
    runner.take(message({"command": "tare", "id": [1]}, "m3"), "")
    runner.take(message({"command": 7, "id": "44"}, "m4"), "")
    assert [(command.name, command.id, result.ok) for command, result in answered] == [
        ("tare", "42", False),
        ("tare", "43", False),
        ("tare", "m3", False),
        ("", "44", False),
    ]
    assert answered[0][1].detail == "`value` = [1] is neither text, number, true nor false"


async def test_a_command_that_nobody_can_date_is_refused():
    undated = IoMessage(id="m1", timestamp=0, contentdata=b'{"command":"tare"}')
    ((_, ok, detail),) = await Bench().through(undated)
    assert (ok, detail.split(":")[0]) == (False, "nobody knows when it was given")


async def test_a_timeout_of_the_device_is_not_that_of_the_command():
    results = []

    async def execute(command):
        raise TimeoutError("the device's own")

    runner = CommandRunner(execute, lambda command, result, took_s: results.append(result), CommandedSettings())
    runner.take(message({"command": "a"}), "")
    running = asyncio.ensure_future(runner.run())
    async with asyncio.timeout(60):
        while not results:
            await asyncio.sleep(0)
    running.cancel()
    assert (results[0].ok, results[0].detail) == (False, "TimeoutError: the device's own")
