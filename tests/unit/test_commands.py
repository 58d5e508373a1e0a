"""Commands: out of messages, in order, each answered once."""

import asyncio
import contextlib
import json
import shutil
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Command, CommandedSettings, CommandError, Result
from device_bridge.runtime import command_memory
from device_bridge.runtime.command_memory import CommandMemory
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

    def __init__(self, memory=None, **settings):
        self.executed, self.results = [], []
        self.wall_s, self.steady_s = time.time(), 1000.0
        self.runner = CommandRunner(
            self._execute,
            self._report,
            CommandedSettings(**settings),
            memory=memory,
            wall=lambda: self.wall_s,
            steady=lambda: self.steady_s,
        )
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
    assert (ok, detail.split(":")[0]) == (False, "its age is unknown")


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


async def ran(file, *ids, **settings):
    """What one process executes of these messages, and how it answers."""
    bench = Bench(CommandMemory(file), **settings)
    await bench.runner.open()
    for message_id in ids:
        bench.runner.take(message({"command": message_id}, message_id), "")
    taken = len(bench.results) + len(bench.runner._queue)
    running = asyncio.ensure_future(bench.runner.run())
    async with asyncio.timeout(60):
        while len(bench.results) < taken:
            await asyncio.sleep(0.001)
    running.cancel()
    return bench


async def test_what_was_executed_is_not_executed_by_the_next_process(tmp_path):
    file = tmp_path / "bench.commands.jsonl"
    assert (await ran(file, "a", "b")).executed == ["a", "b"]
    again = await ran(file, "a", "b", "c")  # nothing was closed: a kill leaves the same
    assert (again.executed, [name for name, *_ in again.results]) == (["c"], ["c"])
    assert file.stat().st_mode & 0o777 == 0o600


async def test_what_was_refused_at_the_end_is_not_executed_by_the_next_process(tmp_path):
    file = tmp_path / "bench.commands.jsonl"
    bench = Bench(CommandMemory(file))
    bench.runner.take(message({"command": "early"}, "1"), "")
    bench.runner.refuse_waiting("the end")
    bench.runner.take(message({"command": "late"}, "2"), "")
    await bench.runner.close()
    assert bench.results == [("early", False, "the end"), ("late", False, "the end")]
    again = Bench(CommandMemory(file))
    await again.runner.open()
    for message_id in ("1", "2"):
        again.runner.take(message({"command": "x"}, message_id), "")
    assert again.results == []


async def test_a_torn_line_costs_one_id_and_is_reported(tmp_path, caplog):
    file = tmp_path / "bench.commands.jsonl"
    await ran(file, "a", "b")
    file.write_bytes(file.read_bytes()[:-5])
    assert (await ran(file, "a", "b")).executed == ["b"]
    assert "1 lines of" in caplog.text
    assert (await ran(file, "a", "b")).executed == []


async def test_a_memory_that_cannot_be_read_for_a_while_costs_nothing(tmp_path, monkeypatch, caplog):
    file = tmp_path / "bench.commands.jsonl"
    sent = time.time()
    await ran(file, "a")
    memory = CommandMemory(file)
    monkeypatch.setattr(CommandMemory, "_append", lambda self, ids: None)
    aside = file.rename(tmp_path / "aside")
    file.mkdir()  # as good as EIO: it is there, and cannot be read
    bench = Bench(memory, max_command_age=1e9)
    await bench.runner.open()
    bench.runner.take(message({"command": "a"}, "a", timestamp=int(sent * 1000)), "")
    assert bench.results == [("a", False, "it may have been executed already: it is too old to be known")]
    for message_id in ("b", "c"):
        memory.add(message_id, time.time())
    memory.keep("b")
    await memory.flush()
    assert memory.forgotten_to > sent
    file.rmdir()
    aside.rename(file)
    monkeypatch.undo()
    memory.keep("c")
    await memory.flush()
    assert memory.forgotten_to < sent
    assert [each in memory for each in "abc"] == [True] * 3
    assert (await ran(file, "a", "b", "c", "d")).executed == ["b", "d"], "b could not be written"
    assert caplog.text.count("cannot be read now") == 1


async def test_a_disk_that_cannot_be_written_stops_no_command(tmp_path, caplog):
    (tmp_path / "folder").write_text("a file")
    assert (await ran(tmp_path / "folder" / "commands.jsonl", "a", "b")).executed == ["a", "b"]
    assert caplog.text.count("cannot be kept") == 1


async def test_a_disk_that_does_not_write_is_waited_for_a_while(tmp_path, monkeypatch, caplog):
    released = threading.Event()
    monkeypatch.setattr(command_memory, "_WRITE_S", 0.01)
    monkeypatch.setattr(CommandMemory, "_append", lambda self, ids: released.wait())
    try:
        assert (await ran(tmp_path / "commands.jsonl", "a", "b")).executed == ["a", "b"]
    finally:
        released.set()
    assert caplog.text.count("does not write") == 1


async def test_the_memory_is_bounded_and_what_it_has_forgotten_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(command_memory, "SIZE", 10)
    file = tmp_path / "bench.commands.jsonl"
    sizes = set()
    for run in range(12):
        await ran(file, *(f"{run}-{number}" for number in range(5)), max_command_age=1e9)
        sizes.add(len(file.read_bytes().split(b"\n")) - 1)
    assert max(sizes) <= 20
    bench = Bench(CommandMemory(file), max_command_age=1e9)
    await bench.runner.open()
    bench.runner.take(message({"command": "a"}, "0-0", timestamp=1_000), "")
    bench.runner.take(message({"command": "b"}, "11-0"), "")
    assert bench.results == [("a", False, "it may have been executed already: it is too old to be known")]


async def test_a_memory_that_was_removed_is_written_again(tmp_path):
    file = tmp_path / "state/bench.commands.jsonl"
    memory = CommandMemory(file)
    for number in range(3):
        memory.add(str(number), time.time())
        memory.keep(str(number))
        await memory.flush()
        if number == 1:
            shutil.rmtree(file.parent)
    assert (await ran(file, "0", "1", "2", "3")).executed == ["3"]


async def test_what_waits_while_the_memory_is_rewritten_is_executed_by_the_next_process(tmp_path, monkeypatch):
    monkeypatch.setattr(command_memory, "SIZE", 10)
    file = tmp_path / "bench.commands.jsonl"
    memory = CommandMemory(file)
    for number in range(25):
        memory.add(str(number), time.time())
        memory.add("waiting", time.time())
        memory.keep(str(number))
        await memory.flush()
    assert len(file.read_bytes().splitlines()) < 25, "it has been rewritten"
    assert (await ran(file, "24", "waiting")).executed == ["waiting"]


@pytest.mark.parametrize("step_s", [-86_400, 86_400])
async def test_a_step_of_the_clock_makes_no_waiting_command_fresh(step_s):
    bench = Bench(max_command_age=60)
    bench.runner.take(message({"command": "old"}, "1", timestamp=int((bench.wall_s - 50) * 1000)), "")
    bench.wall_s += step_s
    bench.steady_s += 11
    running = asyncio.ensure_future(bench.runner.run())
    while not bench.results:
        await asyncio.sleep(0)
    running.cancel()
    assert "given 61.0 s ago" in bench.results[0][2]


async def test_a_result_that_no_message_can_carry_is_answered_all_the_same(caplog):
    results = []

    def report(command, result, took_s):
        result.detail.encode()
        results.append((command.name, result.ok, result.detail))

    async def execute(command):
        return Result(ok=True, detail="\ud800")

    runner = CommandRunner(execute, report, CommandedSettings())
    runner.take(message({"command": "a"}, "1"), "")
    running = asyncio.ensure_future(runner.run())
    while not results:
        await asyncio.sleep(0)
    running.cancel()
    assert results == [("a", True, "its text cannot be sent")]
