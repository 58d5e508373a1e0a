"""A board's months in seconds: its clock drifts, is stepped, has leap seconds, begins wrong after each power cut; the
node is away every week, the device is unplugged every day. `make fuzz` has a year of it.

Accounting is exact over all lives, every time is right within its mark, memory and disk come back to what they were.
"""

import asyncio
import os
import random
from pathlib import Path

import pytest

from device_bridge import OutboxSettings, Quality, Reading
from device_bridge.clocks import Clocks
from device_bridge.filters import FilterChain
from device_bridge.messages import senml
from device_bridge.messages.clock import DRIFT_S, Clock
from device_bridge.messages.maker import MessageMaker
from device_bridge.messages.time_correction import TimeCorrection
from device_bridge.outbox.delivery import Delivery
from device_bridge.outbox.durable import Outbox
from iofog_sdk import ConnectionLost, IoMessage, Receipt, SequenceTracker

from ..movable_clock import MovableClockLoop
from ..simulated_disk import SimulatedDisk

DAY, WEEK = 86_400, 7 * 86_400
START = 1_800_000_000.0
EVERY_S = 600
SEED = int(os.environ.get("SEED", "1"))
DRIFT = 50e-6
BEHIND_S = 5.0
"""A crystal with this drift, set daily, is so much off at most."""
FOLDER = Path("/state/box.outbox")


class World:
    """True time, and what a board and a node make of it."""

    def __init__(self, seed, has_rtc):
        self.rng, self.has_rtc = random.Random(seed), has_rtc
        self.loop = MovableClockLoop()
        self.disk = SimulatedDisk(seed)
        self.true = START
        self.leap_s = self.wall_error_s = 0.0
        self.boots = 0
        self.boot_at = 0.0
        self.node_up = asyncio.Event()
        self.node_up.set()
        self.tracker = SequenceTracker()
        self.read = self.dropped = self.received = 0
        self.worst_s = 0.0
        self.peak_bytes = self.peak_memory = 0
        self.boot()

    def boot(self):
        self.boots += 1
        self.boot_at = self.true
        self.is_set = self.has_rtc
        self.wall_error_s = 0.0 if self.has_rtc else START - 5 * 365 * DAY - self.true

    def wall(self):
        drifted = (self.true - self.set_at) * DRIFT if self.is_set else 0.0
        return self.true + self.wall_error_s + drifted - self.leap_s

    @property
    def set_at(self):
        """When the time server last set the clock: every day, while the network is there."""
        return max(self.boot_at, self.true // DAY * DAY)

    def utc(self):
        return self.true - self.leap_s

    # the node, as a transport

    @property
    def connected(self):
        return self.node_up.is_set()

    async def wait_connected(self):
        await self.node_up.wait()

    async def wait_for_room(self):
        pass

    def post(self, body, done):
        if not self.connected:
            done(ConnectionLost("away"))
            return
        message = IoMessage.from_bytes(body)
        if self.tracker.is_new(message):
            self.received += 1
            self.check_time(message.contentdata)
        done(Receipt("id", 1))

    def check_time(self, pack):
        (reading,) = senml.decode(pack)
        if reading.quality is Quality.BAD or not senml.clock_was_set(pack):
            return
        off_s = abs(reading.time - reading.value)
        self.worst_s = max(self.worst_s, off_s)
        assert off_s < BEHIND_S + DRIFT_S, f"{off_s} s wrong and not marked"


class Life:
    """One process: from its start to a power cut or an orderly end."""

    def __init__(self, world):
        self.world = world
        clocks = Clocks(
            wall=world.wall, since_boot=lambda: world.true - world.boot_at + 10, boot=f"boot-{world.boots:08}"
        )
        options = OutboxSettings(max_bytes=1 << 20, memory_bytes=16_384, max_messages=100_000, spill_after=2)
        self.box = Outbox(options, FOLDER, disk=world.disk, clocks=clocks)
        self.clock = Clock(clocks=clocks, verified=lambda: world.is_set)
        self.maker = MessageMaker("p", self.clock, self.box)
        self.maker.use("bench", FilterChain(()))
        self.sending = None

    async def begin(self):
        await self.box.open()
        self.sending = asyncio.ensure_future(
            Delivery(self.box, self.world, TimeCorrection(self.clock).body, 64).run()
        )

    def read(self):
        self.clock.check()
        self.maker.put([Reading("true", self.world.utc())])
        assert self.box.read == self.box.delivered + self.box.buffered + self.box.dropped.total()

    async def end(self, *, cut=False):
        world, box = self.world, self.box
        self.sending.cancel()
        if cut:
            box._disk._task.cancel()
            world.dropped += box.dropped.total() + sum(entry.readings for entry in box._unwritten())
            world.disk.kill()
        else:
            await box.close()
            world.dropped += box.dropped.total()


async def live(world, days):
    life = Life(world)
    await life.begin()
    step = 0
    while world.true < START + days * DAY:
        step += 1
        world.true += EVERY_S
        hour, day = int(world.true % DAY // 3600), int((world.true - START) // DAY)
        if hour != 12:  # unplugged for an hour a day
            world.read += 1
            life.read()
        world.node_up.clear() if day % 7 == 6 else world.node_up.set()
        if not world.is_set and world.true - world.boot_at > 3600:
            world.is_set, world.wall_error_s = True, 0.0
        if step % 144 == 70 and world.rng.random() < 0.1:
            world.wall_error_s = world.rng.choice((365.0, -1.0)) * DAY  # somebody sets it, and sets it back
            await tick(world, life, 7)
            world.wall_error_s = 0.0 if world.is_set else world.wall_error_s
            await tick(world, life, 1)
        if day in (100, 200, 300) and hour == 0 and world.leap_s < day // 100:
            world.leap_s += 1
        if step % 2000 == 1999:
            if world.rng.random() < 0.5:
                await asyncio.sleep(5)
                await life.end(cut=True)
                world.boot()
            else:
                await life.end()
            life = Life(world)
            await life.begin()
        await asyncio.sleep(3)
        world.peak_bytes, world.peak_memory = (
            max(world.peak_bytes, world.disk.used),
            max(world.peak_memory, life.box.bytes_in_memory),
        )
    world.node_up.set()
    async with asyncio.timeout(3600):
        await life.box.wait_empty()
    await asyncio.sleep(5)
    assert world.disk.used < 200_000
    await life.end()


async def tick(world, life, seconds):
    for _ in range(seconds):
        world.true += 1
        world.read += 1
        life.read()
        await asyncio.sleep(0.001)


@pytest.mark.campaign
@pytest.mark.parametrize("has_rtc", [True, False], ids=["with a clock", "without a clock"])
def test_a_long_time_is_accounted_for_and_dated_right(has_rtc):
    days = 365 if "SEED" in os.environ else 30
    world = World(SEED, has_rtc)
    with asyncio.Runner(loop_factory=lambda: world.loop) as runner:
        runner.run(live(world, days))
    assert world.received + world.dropped == world.read
    assert world.tracker.duplicates <= 64 * world.boots * 4
    assert (world.tracker.missing, world.tracker.reordered) == (0, 0)
    assert world.disk.handles == 0
    assert world.disk.used == 0
    assert world.peak_bytes <= 1.2 * (1 << 20)
    assert world.peak_memory < 100_000
    assert world.boots > 1 or days < 365
