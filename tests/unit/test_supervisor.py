"""One device over all changes of its life: opening, refusals, reloads, failures, closing, commands meanwhile."""

import asyncio
import contextlib

import msgspec
import pytest

from device_bridge import (
    Command,
    CommandedSettings,
    CommandSpec,
    DeviceError,
    DeviceErrorKind,
    DeviceService,
    Forwarded,
    Quantity,
    Reading,
    Result,
    SettingsError,
)
from device_bridge.control import Member
from device_bridge.supervision import DeviceState, Supervisor
from device_bridge.supervision import instance as module
from iofog_sdk import Backoff


class BenchSettings(CommandedSettings, frozen=True, kw_only=True):
    port: str = "good"


class World:
    """What devices do, and what was done to them."""

    def __init__(self):
        self.events = []
        self.gates = {}
        self.errors = {}
        self.opened = asyncio.Event()

    async def pass_gate(self, name):
        self.events.append(name)
        if (gate := self.gates.get(name)) is not None:
            await gate.wait()
        if (error := self.errors.get(name)) is not None:
            raise error


class Bench(DeviceService[BenchSettings]):
    quantities = (Quantity("a"),)
    commands = tuple(CommandSpec(name) for name in ("early", "late", "slow", "x"))
    world: World

    async def open(self):
        await self.world.pass_gate(f"open {self.settings.port}")

    async def close(self):
        await self.world.pass_gate(f"close {self.settings.port}")

    async def stream(self):
        self.world.opened.set()
        yield [self.quantities[0].good(1)]
        await self.world.pass_gate("read")
        await asyncio.Event().wait()

    async def execute(self, command):
        await self.world.pass_gate(f"execute {command.name}")
        return Result(ok=True)


class Run:
    def __init__(self, settings):
        self.world = Bench.world = World()
        self.emitted, self.adopted, self.refused = [], [], []

        async def room():
            return None

        self.supervisor = Supervisor(
            Bench,
            settings,
            self.emitted.append,
            room,
            Backoff(0.05, 0.05),
            on_adopted=lambda settings: self.adopted.append(settings.port),
            on_refused=lambda settings, error: self.refused.append((settings.port, str(error))),
        )
        self.task = None

    async def until(self, condition):
        while not condition():
            assert not self.task.done(), self.task
            await asyncio.sleep(0.001)

    async def is_up(self):
        await self.until(lambda: self.supervisor.state is DeviceState.READING)


@contextlib.asynccontextmanager
async def running(port="good", **settings):
    run = Run(BenchSettings(port=port, **settings))
    run.task = asyncio.ensure_future(run.supervisor.run())
    try:
        async with asyncio.timeout(30):
            yield run
    finally:
        for gate in run.world.gates.values():
            gate.set()
        run.task.cancel()
        await asyncio.gather(run.task, return_exceptions=True)


REFUSAL = SettingsError("port", "bad", "is no port", "Write a port.")


async def test_a_change_of_shared_settings_leaves_the_device_alone():
    async with running() as run:
        await run.is_up()
        changed = BenchSettings(log_level="debug", stale_after=3, max_command_age=5)
        run.supervisor.apply(changed)
        assert run.adopted == ["good", "good"]
        assert run.world.events == ["open good", "read"]
        run.supervisor.apply(msgspec.structs.replace(changed, port="other"))
        await run.until(lambda: run.adopted == ["good", "good", "other"])
        assert run.world.events[2:4] == ["close good", "open other"]


async def test_settings_refused_while_opening_change_nothing():
    async with running() as run:
        await run.is_up()
        run.world.errors["open bad"] = REFUSAL
        run.supervisor.apply(BenchSettings(port="bad"))
        await run.until(lambda: run.refused)
        await run.is_up()
        assert run.refused == [("bad", str(REFUSAL))]
        assert run.adopted == ["good"], "nothing else went over to the refused ones"
        assert run.world.events[-2:] == ["open good", "read"]


async def test_of_two_changes_while_opening_the_last_one_counts():
    async with running() as run:
        await run.is_up()
        run.world.errors["open bad"] = REFUSAL
        run.world.gates["open bad"] = gate = asyncio.Event()
        run.supervisor.apply(BenchSettings(port="bad"))
        await run.until(lambda: "open bad" in run.world.events)
        run.supervisor.apply(BenchSettings(port="third"))
        gate.set()
        await run.until(lambda: "third" in run.adopted)
        assert run.adopted == ["good", "third"]


async def test_the_first_settings_end_the_service_when_they_cannot_be_used():
    run = Run(BenchSettings(port="bad"))
    run.world.errors["open bad"] = REFUSAL
    with pytest.raises(SettingsError):
        await run.supervisor.run()
    assert run.world.events == ["open bad", "close bad"]


async def test_settings_that_were_good_and_are_not_any_more_are_a_failing_device_with_pauses():
    async with running() as run:
        await run.is_up()
        run.world.errors |= {"read": DeviceError(DeviceErrorKind.GONE, "x", "unplugged"), "open good": REFUSAL}
        run.supervisor.apply(BenchSettings(port="good", filters=()))
        run.supervisor.apply(BenchSettings(port="other"))
        await run.until(lambda: run.supervisor.state is DeviceState.FAILED)
        before, now = len(run.world.events), asyncio.get_running_loop().time
        began = now()
        for _ in range(50):
            await asyncio.sleep(0)
        opened = [event for event in run.world.events[before:] if event.startswith("open ")]
        assert len(opened) <= 1 + (now() - began) / 0.02, "it waits between attempts"
        assert run.refused == []


async def test_no_command_reaches_a_device_that_is_opening_or_closing():
    async with running() as run:
        run.world.gates["open good"] = opening = asyncio.Event()
        await run.until(lambda: run.world.events)
        refused = await run.supervisor.execute(Command(name="early"))
        assert (refused.ok, "being opened" in refused.detail) == (False, True)
        opening.set()
        await run.is_up()
        run.world.gates["close good"] = closing = asyncio.Event()
        run.supervisor.apply(BenchSettings(port="other"))
        await run.until(lambda: "close good" in run.world.events)
        assert run.supervisor.state is DeviceState.REOPENING
        refused = await run.supervisor.execute(Command(name="late"))
        assert (refused.ok, "being closed" in refused.detail) == (False, True)
        closing.set()
        await run.until(lambda: "open other" in run.world.events)
        assert not [event for event in run.world.events if event.startswith("execute")]


async def test_a_command_that_is_nearly_done_is_finished_before_its_device_is_closed():
    async with running() as run:
        await run.is_up()
        run.world.gates["execute slow"] = done = asyncio.Event()
        command = asyncio.ensure_future(run.supervisor.execute(Command(name="slow")))
        await run.until(lambda: "execute slow" in run.world.events)
        run.supervisor.apply(BenchSettings(port="other"))
        refused = await run.supervisor.execute(Command(name="late"))
        done.set()
        assert (await command).ok
        assert not refused.ok
        await run.until(lambda: "open other" in run.world.events)


async def test_a_command_under_way_is_ended_and_answered_before_its_device_is_closed():
    async with running() as run:
        await run.is_up()
        run.world.gates["execute slow"] = asyncio.Event()
        command = asyncio.ensure_future(run.supervisor.execute(Command(name="slow")))
        await run.until(lambda: "execute slow" in run.world.events)
        run.supervisor.apply(BenchSettings(port="other"))
        result = await command
        assert (result.ok, "closed before it had done it" in result.detail) == (False, True)
        await run.until(lambda: "open other" in run.world.events)


@pytest.mark.parametrize("misbehaviour", ["hangs", "raises"])
async def test_a_device_that_cannot_be_closed_costs_neither_the_reload_nor_the_end(misbehaviour, monkeypatch, caplog):
    monkeypatch.setattr(module, "CLOSE_S", 0.05)
    async with running() as run:
        await run.is_up()
        if misbehaviour == "hangs":
            run.world.gates["close good"] = run.world.gates["close other"] = asyncio.Event()
        else:
            run.world.errors["close good"] = run.world.errors["close other"] = RuntimeError("stuck")
        run.supervisor.apply(BenchSettings(port="other"))
        await run.until(lambda: run.adopted == ["good", "other"])
        assert "closing the device" in caplog.text
        run.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run.task
        assert run.supervisor.state is DeviceState.STOPPED


async def test_the_end_closes_the_device_even_when_it_is_asked_for_twice():
    async with running() as run:
        await run.is_up()
        run.world.gates["close good"] = gate = asyncio.Event()
        run.task.cancel()
        await asyncio.sleep(0)
        while "close good" not in run.world.events:
            await asyncio.sleep(0.001)
        run.task.cancel()
        await asyncio.sleep(0)
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await run.task


async def test_cancelled_at_any_await_it_ends_closed():
    """Cancels the whole at each step of an opening, a reading, a reload and a command in turn."""
    for steps in range(40):
        run = Run(BenchSettings())
        run.task = asyncio.ensure_future(run.supervisor.run())
        commanding = asyncio.ensure_future(run.supervisor.execute(Command(name="x")))
        for step in range(steps):
            await asyncio.sleep(0)
            if step == 12:
                run.supervisor.apply(BenchSettings(port="other"))
        run.task.cancel()
        await asyncio.wait_for(asyncio.gather(run.task, commanding, return_exceptions=True), 10)
        opens, closes = (sum(e.startswith(kind) for e in run.world.events) for kind in ("open", "close"))
        assert opens == closes, run.world.events
        assert len([task for task in asyncio.all_tasks() if task is not asyncio.current_task()]) == 0


async def test_each_quantity_becomes_stale_by_itself():
    class Two(DeviceService[CommandedSettings]):
        quantities = (Quantity("slow"), Quantity("fast"))

        async def stream(self):
            yield [q.good(1) for q in self.quantities]
            while True:
                await asyncio.sleep(0.01)
                yield [self.quantities[1].good(2)]

        async def execute(self, command):
            return Result(ok=True)

    emitted = []

    async def room():
        return None

    supervisor = Supervisor(Two, CommandedSettings(stale_after=0.1), emitted.append, room)
    task = asyncio.ensure_future(supervisor.run())
    async with asyncio.timeout(30):
        while not (stale := [r for sample in emitted for r in sample if r.quality.value == "stale"]):
            await asyncio.sleep(0.005)
        assert [(r.name, r.value, r.reason) for r in stale] == [("slow", 1, "no reading for 0.1 s")]
        assert supervisor.state is DeviceState.READING
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_service_whose_members_have_all_failed_is_not_up():
    class Line(DeviceService[CommandedSettings]):
        quantities = (Quantity("a"), Quantity("b"))

        def __init__(self, settings):
            super().__init__(settings)
            self.members = members

        async def stream(self):
            yield self.members[0].fail("no answer")
            await asyncio.Event().wait()

        async def execute(self, command):
            return Result(ok=True)

    async def room():
        return None

    members = [Member(quantity.name, [quantity]) for quantity in Line.quantities]
    supervisor = Supervisor(Line, CommandedSettings(), lambda _: None, room)
    task = asyncio.ensure_future(supervisor.run())
    async with asyncio.timeout(60):
        while not members[0].is_failing:
            await asyncio.sleep(0.001)
        assert supervisor.is_up, "the other one works"
        members[1].fail("no answer")
        assert not supervisor.is_up
        members[0].recover()
        assert supervisor.is_up
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Gateway(DeviceService[BenchSettings]):
    """Forwards readings of others: all of one sample, then the device is lost when it is told so."""

    forwards_messages = True
    names = ()

    def __init__(self, settings):
        super().__init__(settings)
        self.lost = Gateway.lost = asyncio.Event()

    async def stream(self):
        yield Forwarded(content=[Reading(name, 1.0, "V") for name in self.names])
        yield Forwarded(content=b"as it is", infotype="x/y")
        await self.lost.wait()
        raise DeviceError(DeviceErrorKind.GONE, "broker", "closed the connection")

    async def execute(self, command):
        return Result(ok=True)


@contextlib.asynccontextmanager
async def forwarding(names, **settings):
    Gateway.names, emitted = names, []

    async def room():
        return None

    supervisor = Supervisor(Gateway, BenchSettings(**settings), emitted.append, room, Backoff(60.0, 60.0))
    task = asyncio.ensure_future(supervisor.run())
    async with asyncio.timeout(30):
        while len(emitted) < 2:
            await asyncio.sleep(0)
        yield supervisor, emitted
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.clock("movable")
async def test_what_is_forwarded_becomes_stale_as_what_is_measured():
    async with forwarding(("a", "b"), stale_after=5.0) as (_, emitted):
        await asyncio.sleep(6)
    stale = [(r.name, r.value, r.quality.value) for sample in emitted[2:] for r in sample]
    assert stale == [("a", 1.0, "stale"), ("b", 1.0, "stale")]


@pytest.mark.clock("movable")
async def test_every_name_that_was_forwarded_is_bad_when_the_device_is_lost():
    names = tuple(f"n{number}" for number in range(1201))
    async with forwarding(names) as (_, emitted):
        Gateway.lost.set()
        await asyncio.sleep(0.1)
    bad = [r for sample in emitted[2:] for r in sample]
    assert [r.name for r in bad] == list(names)
    assert {(r.value, r.unit, r.quality.value) for r in bad} == {(None, "V", "bad")}
    assert max(len(sample) for sample in emitted[2:]) <= 500, "in messages that every link can carry"


@pytest.mark.clock("movable")
async def test_names_of_settings_that_are_not_in_force_any_more_are_never_sent_again():
    async with forwarding(("old",), stale_after=5.0) as (supervisor, emitted):
        Gateway.names = ("new",)
        supervisor.apply(BenchSettings(port="other", stale_after=5.0))
        await asyncio.sleep(6)
        Gateway.lost.set()
        await asyncio.sleep(1)
    later = [(r.name, r.quality.value) for s in emitted[2:] if not isinstance(s, Forwarded) for r in s]
    assert later == [("new", "stale"), ("new", "bad")]


@pytest.mark.clock("movable")
async def test_what_is_not_read_as_there_is_no_room_is_not_stale():
    class Talkative(DeviceService[BenchSettings]):
        quantities = (Quantity("a"),)

        async def stream(self):
            while True:
                yield [self.quantities[0].good(1)]
                await asyncio.sleep(0.5)

        async def execute(self, command):
            return Result(ok=True)

    emitted, has_room = [], asyncio.Event()
    supervisor = Supervisor(Talkative, BenchSettings(stale_after=2.0), emitted.append, has_room.wait)
    task = asyncio.ensure_future(supervisor.run())
    await asyncio.sleep(60)
    assert (len(emitted), supervisor.state) == (1, DeviceState.READING)
    has_room.set()
    await asyncio.sleep(60)
    assert {reading.quality.value for sample in emitted for reading in sample} == {"good"}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
