"""The outbox cancelled at each of its suspensions, in its whole life: nothing is lost, held or left running."""

import asyncio
import contextlib
import itertools
from pathlib import Path

import pytest

from device_bridge import OutboxSettings
from device_bridge.clocks import Clocks
from device_bridge.outbox.disk_jobs import DiskTask
from device_bridge.outbox.durable import Outbox

from ..cancellation import Suspensions
from ..movable_clock import now
from ..simulated_disk import SimulatedDisk

FOLDER = Path("/state/box.outbox")
CLOCKS = Clocks(wall=lambda: 1_795_000_000 + now(), since_boot=now, boot="this boot")

pytestmark = pytest.mark.clock("movable")


class Life:
    """An outbox that finds messages, takes more and delivers some, and is closed in the end."""

    def __init__(self, durability, *, is_damaged):
        self.disk, self.put, self.delivered = SimulatedDisk(), 0, []
        self.durability, self.is_damaged = durability, is_damaged

    def box(self):
        settings = OutboxSettings(durability=self.durability, memory_bytes=4096, spill_after=1)
        return Outbox(settings, FOLDER, disk=self.disk, clocks=CLOCKS)

    def fill(self, box, count):
        for _ in range(count):
            self.put += 1
            box.put(b"%d " % self.put + bytes(200), 1)

    async def before(self):
        box = self.box()
        await box.open()
        self.fill(box, 30)
        await box.close()
        if self.is_damaged:
            content = self.disk.files[max(path for path in self.disk.files if path.suffix == ".segment")]
            content.data[len(content.data) // 2] ^= 1

    async def take(self, box, count):
        for _ in range(count):
            while (entry := box.take()) is None:
                await box.wait_unsent()
            self.delivered.append(int(entry.body.split()[0]))
            box.acknowledge()

    async def live(self, box):
        await box.open()
        self.fill(box, 10)
        await self.take(box, 5)
        box.spill()
        await box.wait_written()
        self.fill(box, 40)
        await self.take(box, 40)
        await asyncio.sleep(3)
        self.fill(box, 5)
        await box.close()

    async def check(self, box):
        """What was not delivered is found by the next run, once and in order."""
        await box.close()
        dropped = box.dropped.total()
        again = self.box()
        await again.open()
        await self.take(again, again.buffered)
        dropped += again.dropped.total()
        await again.close()
        assert self.disk.handles == 0
        assert not asyncio.all_tasks() - {asyncio.current_task()}
        assert self.delivered == sorted(set(self.delivered))
        assert len(self.delivered) + dropped == self.put
        assert dropped == self.is_damaged


CASES = pytest.mark.parametrize(
    ("durability", "is_damaged"), [("spill", False), ("spill", True), ("always", False), ("always", True)]
)


@CASES
async def test_whoever_uses_it_may_be_cancelled_at_any_suspension(durability, is_damaged):
    for at in itertools.count(1):
        life, suspensions = Life(durability, is_damaged=is_damaged), Suspensions(at)
        await life.before()
        box = life.box()
        task = asyncio.ensure_future(suspensions.through(life.live(box)))
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await life.check(box)
        if suspensions.count < at:
            break
    assert at > 6


@CASES
async def test_its_own_task_may_be_cancelled_at_any_suspension(durability, is_damaged, monkeypatch):
    run = DiskTask._run

    async def watched(self):
        await suspensions.through(run(self))

    monkeypatch.setattr(DiskTask, "_run", watched)
    for at in itertools.count(1):
        suspensions = Suspensions()
        life = Life(durability, is_damaged=is_damaged)
        await life.before()
        suspensions, box = Suspensions(at), life.box()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(100):
                await life.live(box)
        is_over = suspensions.count < at
        suspensions = Suspensions()
        await life.check(box)
        if is_over:
            break
    assert at > 6
