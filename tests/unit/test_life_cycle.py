"""The life of a device: its table, any history of events, and cancellation wherever something waits."""

import asyncio
import contextlib
import logging
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from device_bridge import (
    Command,
    CommandedSettings,
    CommandSpec,
    DeviceError,
    DeviceErrorKind,
    DeviceService,
    Quality,
    Quantity,
    Result,
    SettingsError,
)
from device_bridge.cli import with_diagrams
from device_bridge.supervision import DeviceState, Supervisor
from device_bridge.supervision.life_cycle import TABLE, USABLE, Action, Event
from device_bridge.supervision.supervisor import _CARRY_OUT

from ..cancellation import Suspensions
from ..movable_clock import MovableClockLoop

README = Path(__file__).parents[2] / "common/device_bridge/README.md"
END_S = 10.0
"""What a container is given to stop in."""


def test_every_event_has_one_meaning_in_every_state():
    assert set(TABLE) == set(DeviceState)
    for state, row in TABLE.items():
        assert set(row.steps) | row.ignored == set(Event), state
        assert not set(row.steps) & row.ignored, state


def test_every_state_can_be_reached_and_left_for_the_end():
    leads_to = {state: {step.state for step in row.steps.values()} for state, row in TABLE.items()}

    def reached(start):
        found = {start}
        while new := {after for state in found for after in leads_to[state]} - found:
            found |= new
        return found

    assert reached(DeviceState.STARTING) == set(DeviceState)
    assert all(DeviceState.STOPPED in reached(state) for state in DeviceState)


def test_commands_are_admitted_by_open_devices_alone():
    assert set(USABLE) == {DeviceState.OPEN, DeviceState.READING, DeviceState.STALE}


def test_a_device_is_opened_when_the_one_before_is_closed_and_in_no_other_case():
    for state, row in TABLE.items():
        for event, step in row.steps.items():
            opens, closes = Action.OPEN in step.actions, Action.CLOSE in step.actions
            assert opens == (step.state is DeviceState.OPENING and state is not DeviceState.OPENING), (state, event)
            was_open = state in (DeviceState.OPENING, *USABLE)
            assert closes == (was_open and step.state not in (DeviceState.OPENING, *USABLE)), (state, event)


def test_the_supervisor_can_carry_out_every_action():
    assert set(_CARRY_OUT) == set(Action) - {Action.EXECUTE, Action.DECLINE}


def test_the_picture_in_the_readme_is_that_of_the_table():
    assert with_diagrams(README.read_text()) == README.read_text(), "run: make docs"


class BenchSettings(CommandedSettings, frozen=True, kw_only=True):
    port: str = "a"


class Behaviour:
    """How a part of the device behaves from now on."""

    def __init__(self, takes_s=0.0, error=None, is_stubborn=False):
        self.takes_s, self.error, self.is_stubborn = takes_s, error, is_stubborn

    async def follow(self):
        """Takes its time, also when it is cancelled if it is stubborn, and fails if it is to."""
        try:
            await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            if not self.is_stubborn:
                raise
            await asyncio.sleep(300)
        if self.error is not None:
            raise self.error


class World:
    """The devices of one run, what they did, and what was wrong with that."""

    def __init__(self):
        self.open = self.close = self.execute = Behaviour()
        self.live, self.opened = [], []
        self.read, self.executed, self.wrong = [], [], []
        self.samples = asyncio.Queue()


class Bench(DeviceService[BenchSettings]):
    quantities = (Quantity("a"),)
    commands = (CommandSpec("x"),)
    world: World

    def __init__(self, settings):
        super().__init__(settings)
        self.is_open = False

    async def open(self):
        world = self.world
        if world.live:
            world.wrong.append("opened while another instance was open")
        world.live.append(self)
        await world.open.follow()
        if self.settings.port == "bad":
            raise SettingsError("port", "bad", "is no port", "Write a port.")
        self.is_open = True

    async def close(self):
        self.is_open = False
        try:
            await self.world.close.follow()
        finally:
            if self in self.world.live:
                self.world.live.remove(self)

    async def stream(self):
        while True:
            item = await self.world.samples.get()
            if isinstance(item, Exception):
                raise item
            self.world.read.append(item)
            yield [self.quantities[0].good(item)]

    async def execute(self, command):
        if not self.is_open or self is not self.world.live[-1]:
            self.world.wrong.append("a command reached a device that was not open")
        self.world.executed.append(command.id)
        await self.world.execute.follow()
        return Result(ok=True)


class Run:
    """A supervisor with its devices, and all that came out of it."""

    def __init__(self, settings):
        self.world = Bench.world = World()
        self.emitted, self.adopted, self.refused, self.given = [], [], [], [settings]
        self.supervisor = Supervisor(
            Bench,
            settings,
            self.emitted.append,
            self._room,
            on_adopted=self.adopted.append,
            on_refused=lambda settings, _: self.refused.append(settings),
        )
        self.commands = []

    async def _room(self):
        await asyncio.sleep(0)

    def begin(self):
        self.task = asyncio.get_running_loop().create_task(self.supervisor.run())

    def give(self, **members):
        self.given.append(BenchSettings(**members))
        self.supervisor.apply(self.given[-1])

    def command(self):
        command = Command(name="x", id=str(len(self.commands)))
        self.commands.append(asyncio.get_running_loop().create_task(self.supervisor.execute(command)))

    async def end(self):
        """Stops it, in time, and holds against it what is left."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.task.cancel()
        await asyncio.wait((self.task,))
        assert loop.time() - began < END_S
        assert self.supervisor.state is DeviceState.STOPPED
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert all(command.done() for command in self.commands), "each has its result, or the service's error, by now"
        assert not any(command.cancelled() for command in self.commands)
        await asyncio.sleep(1000)  # what is stubborn ends
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    def check(self):
        assert not self.world.wrong, self.world.wrong
        good = [r.value for sample in self.emitted for r in sample if r.quality is Quality.GOOD]
        assert good == self.world.read, "each sample once, in order"
        assert len(set(self.world.executed)) == len(self.world.executed)


ERRORS = st.sampled_from(
    [
        None,
        DeviceError(DeviceErrorKind.GONE, "x", "unplugged"),
        DeviceError(DeviceErrorKind.GARBLED, "x", "noise"),
        SettingsError("port", "a", "is a plain file now", "Plug it in."),
        RuntimeError("unexpected"),
        asyncio.CancelledError(),
    ]
)
BEHAVIOURS = st.builds(Behaviour, st.sampled_from([0.0, 0.1, 2.0, 100.0]), ERRORS, st.booleans())
PORTS = st.sampled_from(["a", "b", "bad"])


class Lives(RuleBasedStateMachine):
    """Any history: settings, failures, commands, slow and stubborn parts, at any moment."""

    def __init__(self):
        super().__init__()
        logging.disable()
        self.loop = MovableClockLoop()
        self.number = 0

    def on_loop(self, do, seconds=0.0):
        async def done():
            result = do()
            if asyncio.iscoroutine(result):
                await result
            await asyncio.sleep(seconds)

        self.loop.run_until_complete(done())

    @initialize(port=st.sampled_from(["a", "b"]), stale_after=st.sampled_from([0.0, 3.0]), recovers=st.booleans())
    def begin(self, port, stale_after, recovers):
        """Its parts behave again before the end, or as they did last at the end, too."""
        self.recovers = recovers

        def start():
            self.run = Run(BenchSettings(port=port, stale_after=stale_after))
            self.run.begin()

        self.on_loop(start)

    @rule(part=st.sampled_from(["open", "close", "execute"]), behaviour=BEHAVIOURS)
    def behave(self, part, behaviour):
        if part != "open" and isinstance(behaviour.error, asyncio.CancelledError):
            behaviour.error = None
        if (
            part == "close"
        ):  # one that never ends is given up, and the next one opened beside it: not of interest here
            behaviour.is_stubborn = False
        setattr(self.run.world, part, behaviour)

    @rule(port=PORTS, log_level=st.sampled_from(["info", "debug"]), stale_after=st.sampled_from([0.0, 3.0]))
    def give(self, **members):
        run = self.run
        is_at_rest = run.supervisor.state in USABLE and run.given[-1] == run.adopted[-1] and run.world.samples.empty()
        live = list(run.world.live) if is_at_rest and members["port"] == run.adopted[-1].port else None
        failures = run.supervisor.failures
        self.on_loop(lambda: run.give(**members), 0.0 if live is None else 0.01)
        if live is not None and run.supervisor.failures == failures:
            assert run.world.live == live, "a device is reopened for its own settings alone"

    @rule()
    def command(self):
        self.on_loop(self.run.command)

    @rule()
    def sample(self):
        self.number += 1
        self.on_loop(lambda: self.run.world.samples.put_nowait(self.number))

    @rule(error=ERRORS.filter(lambda error: isinstance(error, Exception)))
    def fail(self, error):
        self.on_loop(lambda: self.run.world.samples.put_nowait(error))

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 3.0, 40.0]))
    def wait(self, seconds):
        self.on_loop(lambda: None, seconds)

    @rule(count=st.integers(1, 12))
    def a_few_steps(self, count):
        async def steps():
            for _ in range(count):
                await asyncio.sleep(0)

        self.on_loop(steps)

    @precondition(lambda self: self.run.supervisor.state in USABLE)
    @invariant()
    def an_open_device_has_the_settings_in_force(self):
        run = self.run
        (service,) = run.world.live[-1:]
        assert service.settings == run.adopted[-1]
        assert run.given[-1] == run.adopted[-1] or (run.refused and run.given[-1] == run.refused[-1])

    @invariant()
    def nothing_is_wrong(self):
        if hasattr(self, "run"):
            self.run.check()

    def teardown(self):
        if hasattr(self, "run"):
            if self.recovers:
                self.on_loop(self._recover)
            self.on_loop(self.run.end)
            self.run.check()
        self.loop.close()
        logging.disable(logging.NOTSET)

    async def _recover(self):
        """Once everything behaves again, the last good settings work, and nothing is asked for twice."""
        run = self.run
        run.world.open = run.world.close = run.world.execute = Behaviour()
        await asyncio.sleep(3000)  # each failure that was still to come costs up to half a minute
        if not run.adopted:  # the first that a device was opened with could not be used
            assert isinstance(run.task.exception(), SettingsError)
            return
        assert not run.task.done(), run.task
        if run.adopted[-1].port == "bad":
            return  # the device failed for another reason when it had them first: it is tried again for ever
        assert run.supervisor.state in USABLE
        assert run.adopted[-1] == run.given[-1] or run.refused[-1] == run.given[-1]
        assert len(run.world.live) == 1


CHOSEN = hypothesis_settings.default
Lives.TestCase.settings = hypothesis_settings(
    max_examples=30 if CHOSEN.derandomize else CHOSEN.max_examples,
    stateful_step_count=25 if CHOSEN.derandomize else 50,
)
TestLives = Lives.TestCase


@pytest.mark.clock("movable")
@pytest.mark.parametrize("what", ["stop", "device settings", "shared settings", "bad settings", "failure", "command"])
async def test_at_every_turn_of_the_loop(what, caplog):
    """A life with everything in it; at each turn of the loop, in one run after another, something comes between."""
    caplog.set_level(logging.CRITICAL, "device_bridge")
    turn = 0
    is_over = False
    while not is_over:
        turn += 1
        run = Run(BenchSettings())
        run.begin()
        is_over = await _live_through(run, turn, what)
        await run.end()
        run.check()
    assert turn > 40


async def _live_through(run, at, what):
    """Returns whether the life was over before the turn came."""
    failure = DeviceError(DeviceErrorKind.GONE, "x", "unplugged")
    happenings = {
        3: lambda: run.world.samples.put_nowait(1),
        6: run.command,
        9: lambda: run.give(port="b"),
        20: lambda: run.world.samples.put_nowait(2),
        23: lambda: run.give(port="b", log_level="debug"),
        26: run.command,
        27: lambda: run.world.samples.put_nowait(failure),
        38: lambda: run.give(port="a"),
        48: run.command,
    }
    between = {
        "stop": run.task.cancel,
        "device settings": lambda: run.give(port="c"),
        "shared settings": lambda: run.give(port=run.given[-1].port, log_level="error"),
        "bad settings": lambda: run.give(port="bad"),
        "failure": lambda: run.world.samples.put_nowait(failure),
        "command": run.command,
    }
    for turn in range(60):
        if turn in happenings and not run.task.done():
            happenings[turn]()
        if turn == at:
            between[what]()
        await asyncio.sleep(0)
    return at >= 60


@pytest.mark.clock("movable")
@pytest.mark.parametrize("part", ["open", "close", "execute"])
async def test_cancelled_at_each_of_its_suspensions(part, monkeypatch):
    """What a service awaits may be cancelled by others, such as a library's own time limits, at any time."""

    async def several(self):
        for _ in range(5):
            await asyncio.sleep(0.01)

    monkeypatch.setattr(Behaviour, "follow", lambda self: suspensions.through(several(self)))
    at, count = 0, 1
    while at < count:
        at += 1
        suspensions = Suspensions(at)
        run = Run(BenchSettings())
        run.begin()
        await asyncio.sleep(5)
        run.command()
        await asyncio.sleep(5)
        run.give(port="b")
        await asyncio.sleep(5)
        assert run.supervisor.state in USABLE
        assert run.adopted[-1].port == "b"
        await run.end()
        run.check()
        count = suspensions.count
    assert at >= 20


@pytest.mark.clock("movable")
async def test_a_command_that_cannot_be_cancelled_is_answered_and_the_device_closed():
    run = Run(BenchSettings())
    run.world.execute = Behaviour(takes_s=1000, is_stubborn=True)
    run.begin()
    await asyncio.sleep(1)
    run.command()
    await asyncio.sleep(1)
    run.give(port="b")
    await asyncio.sleep(3)
    assert run.commands[0].result().detail == "the device was closed before it had done it"
    assert run.supervisor.state in USABLE
    await run.end()
    with contextlib.suppress(asyncio.CancelledError):
        await run.task
