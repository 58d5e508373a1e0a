"""One device kept going: silence is not loss, and what was unplugged is looked for often."""

import asyncio
import contextlib

import pytest

from device_bridge import (
    Command,
    CommandedSettings,
    CommandError,
    CommandSpec,
    DeviceError,
    DeviceErrorKind,
    DeviceService,
    Quality,
    Quantity,
    Reading,
    Result,
)
from device_bridge.supervision.supervisor import DeviceState, Supervisor

pytestmark = pytest.mark.clock("movable")


class Probe(DeviceService[CommandedSettings]):
    """Yields what the test puts in; raises what the test puts in."""

    quantities = (Quantity("a"), Quantity("b"))
    commands = tuple(CommandSpec(name) for name in ("a", "refuse", "mute"))
    given: asyncio.Queue
    opened = 0

    async def open(self):
        type(self).opened += 1
        if (error := type(self).refusal) is not None:
            raise error

    refusal: Exception | None = None

    async def stream(self):
        while True:
            item = await self.given.get()
            if isinstance(item, Exception):
                raise item
            yield item

    async def execute(self, command):
        if command.name == "refuse":
            raise CommandError("not so")
        if command.name == "mute":
            raise DeviceError(DeviceErrorKind.TIMEOUT, "x", "no answer")
        return Result(ok=True, detail=command.name)


@contextlib.asynccontextmanager
async def bridged(**settings):
    Probe.given, Probe.opened, Probe.refusal = asyncio.Queue(), 0, None
    emitted: asyncio.Queue = asyncio.Queue()

    async def room():
        return None

    bridge = Supervisor(Probe, CommandedSettings(**settings), emitted.put_nowait, room)
    task = asyncio.ensure_future(bridge.run())
    async with asyncio.timeout(60):
        yield bridge, emitted
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def reading(name="a", value=1.0):
    return Reading(name, value)


async def test_silence_marks_the_last_values_stale_once_and_keeps_the_device_open():
    async with bridged(stale_after=0.05) as (bridge, emitted):
        Probe.given.put_nowait([reading(value=1.0), Reading("b", None, quality=Quality.BAD, reason="no fix")])
        Probe.given.put_nowait([reading(value=2.0)])
        assert (await emitted.get())[0].value == 1.0
        assert (await emitted.get())[0].value == 2.0
        (stale,) = await emitted.get()
        assert (stale.name, stale.value, stale.quality) == ("a", 2.0, Quality.STALE)
        assert "no reading for 0.05 s" in stale.reason
        assert bridge.state is DeviceState.STALE
        await asyncio.sleep(0.15)
        assert emitted.empty(), "told once"
        Probe.given.put_nowait([reading(value=3.0)])
        assert (await emitted.get())[0].quality is Quality.GOOD
        assert (bridge.state, Probe.opened) == (DeviceState.READING, 1)
        assert (await emitted.get())[0].quality is Quality.STALE, "and again after the next silence"


async def test_silence_and_loss_are_told_of_every_quantity_however_many_there_are(monkeypatch):
    names = [f"q{number}" for number in range(3000)]
    monkeypatch.setattr(Probe, "quantities", tuple(map(Quantity, names)))
    async with bridged(stale_after=5) as (_, emitted):
        Probe.given.put_nowait([reading(name) for name in names])
        assert {one.quality for one in await emitted.get()} == {Quality.GOOD}
        assert [(one.name, one.quality) for one in await emitted.get()] == [(name, Quality.STALE) for name in names]
        Probe.given.put_nowait(DeviceError(DeviceErrorKind.GONE, "/dev/x", "unplugged"))
        bad = []
        while len(bad) < len(names):
            bad += [(one.name, one.quality) for one in await emitted.get()]
        assert bad == [(name, Quality.BAD) for name in names]


async def test_without_the_setting_silence_is_nothing():
    async with bridged() as (bridge, emitted):
        Probe.given.put_nowait([reading()])
        await emitted.get()
        await asyncio.sleep(0.1)
        assert emitted.empty()
        assert bridge.state is DeviceState.READING


async def test_a_lost_device_is_bad_not_stale():
    async with bridged(stale_after=30) as (bridge, emitted):
        Probe.given.put_nowait([reading()])
        await emitted.get()
        Probe.given.put_nowait(DeviceError(DeviceErrorKind.GONE, "/dev/x", "unplugged"))
        assert {r.quality for r in await emitted.get()} == {Quality.BAD}
        assert bridge.state is DeviceState.FAILED


async def test_an_absent_device_is_looked_for_at_least_once_a_second():
    async with bridged() as (_, emitted):
        Probe.refusal = DeviceError(DeviceErrorKind.NOT_FOUND, "/dev/x", "no such device")
        Probe.given.put_nowait(Probe.refusal)
        await emitted.get()
        # With the back-off of a device that fails while it is there, this would take longer than the time limit.
        async with asyncio.timeout(10):
            while Probe.opened < 7:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("name", "ok", "detail"), [("a", True, "a"), ("refuse", False, "not so"), ("mute", False, "no answer")]
)
async def test_commands_reach_the_open_device(name, ok, detail):
    async with bridged() as (bridge, emitted):
        Probe.given.put_nowait([reading()])
        await emitted.get()
        result = await bridge.execute(Command(name=name))
        assert (result.ok, detail in result.detail) == (ok, True)


async def test_a_command_for_a_lost_device_fails_at_once():
    async with bridged() as (bridge, emitted):
        Probe.given.put_nowait(DeviceError(DeviceErrorKind.GONE, "/dev/x", "unplugged"))
        await emitted.get()
        result = await bridge.execute(Command(name="a"))
        assert not result.ok
        assert "unplugged" in result.detail


async def test_a_device_that_is_back_takes_commands_before_it_says_anything():
    async with bridged() as (bridge, emitted):
        Probe.given.put_nowait(DeviceError(DeviceErrorKind.GONE, "/dev/x", "unplugged"))
        await emitted.get()
        while Probe.opened < 2 or bridge.state is not DeviceState.OPEN:
            await asyncio.sleep(0.005)
        assert (await bridge.execute(Command(name="a"))).ok
        assert bridge.reason == ""
