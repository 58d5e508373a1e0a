"""One outbox for all: what became of each bridge's readings, over restarts, damage and a full disk."""

import asyncio
import random
from pathlib import Path

import pytest

from device_bridge import OutboxSettings
from device_bridge.clocks import Clocks
from device_bridge.outbox.durable import Outbox
from device_bridge.outbox.share import Share

from ..movable_clock import now
from ..simulated_disk import SimulatedDisk
from .conftest import steady, until

pytestmark = pytest.mark.clock("movable")

FOLDER = Path("/state/box.outbox")
NAMES = ("a", "b", "c")


class Shared:
    """An outbox with three shares."""

    def __init__(self, disk, **options):
        options = {"durability": "always", "memory_bytes": 4096, "max_bytes": 1 << 20} | options
        clocks = Clocks(wall=lambda: 1_795_000_000 + now(), since_boot=now, boot="boot")
        self.box, shares = Outbox(OutboxSettings(**options), FOLDER, disk=disk, clocks=clocks), {}
        for name in NAMES:
            shares[name] = Share(self.box, name, shares)
        self.shares = shares

    def put(self, name, readings=1, size=300, rng=random):
        self.shares[name].put(name.encode() + rng.randbytes(size), readings)

    def check(self):
        parts = [*self.shares.values()]
        for one in (self.box, *parts):
            assert one.read == one.delivered + one.buffered + one.dropped.total()
        return {name: (one.read, one.delivered, one.buffered) for name, one in self.shares.items()}

    async def drain(self, most=1 << 30):
        taken = []
        while not self.box.is_empty and len(taken) < most:
            if (entry := self.box.take()) is None:
                await asyncio.sleep(0.01)
            else:
                taken.append(entry)
                self.box.acknowledge()
            self.check()
        return taken


async def test_the_next_run_knows_whose_messages_it_has_found():
    disk, first = SimulatedDisk(), None
    first = Shared(disk)
    await first.box.open()
    for number in range(200):
        first.put(NAMES[number % 3 and 1], readings=2)  # "c" has put nothing in
    await asyncio.sleep(1)
    await first.drain(30)
    before = {name: one.buffered for name, one in first.shares.items()}
    await first.box.close()
    again = Shared(disk)
    await again.box.open()
    await asyncio.sleep(1)
    assert {name: one.buffered for name, one in again.shares.items()} == before
    assert {name: one.recovered for name, one in again.shares.items()} == before
    again.put("c", readings=5)
    taken = await again.drain()
    assert [entry.body[:1].decode() for entry in taken] == [entry.stream for entry in taken]
    assert again.check() == {"a": (before["a"],) * 2 + (0,), "b": (before["b"],) * 2 + (0,), "c": (5, 5, 0)}


@pytest.mark.parametrize("seed", range(8))
async def test_damage_is_counted_for_those_whose_messages_it_has_hit(seed):
    rng, disk = random.Random(seed), SimulatedDisk(seed)
    box = Shared(disk, durability="spill")
    await box.box.open()
    for _ in range(400):
        box.put(rng.choice(NAMES), rng.randrange(1, 4), rng.choice((50, 900)), rng)
    await asyncio.sleep(5)
    held = box.check()
    for path in [path for path in disk.files if path.suffix != ""] or list(disk.files):
        content = disk.files[path].data
        for _ in range(3):
            if len(content) > 2000:
                at = rng.randrange(1000, len(content) - 100)
                content[at : at + 60] = rng.randbytes(60)
    taken = await box.drain()
    by_name = {name: sum(entry.readings for entry in taken if entry.stream == name) for name in NAMES}
    for name, share in box.shares.items():
        assert share.delivered == by_name[name]
        assert share.dropped.total() == held[name][0] - by_name[name]
        assert share.buffered == 0


async def test_in_a_full_outbox_one_that_has_most_does_not_push_out_the_others():
    box = Shared(SimulatedDisk(), durability="memory", max_bytes=100_000)
    for _ in range(20):
        box.put("a")
        box.put("b")
    for _ in range(5000):
        box.put("c")
    counts = box.check()
    assert counts["a"][2] == counts["b"][2] == 20
    assert 0 < box.shares["c"].dropped["outbox full"] < 5000
    for _ in range(100):
        box.put("a")
    assert box.check()["a"][2] >= 95, "who has less than its part always gets in"


async def test_with_pause_reading_one_waits_for_its_own_part_only():
    box = Shared(SimulatedDisk(), durability="memory", max_bytes=90_000, on_full="pause_reading")
    for _ in range(60):
        box.put("c", size=400)
    waiting = asyncio.ensure_future(box.shares["c"].wait_room())
    await box.shares["a"].wait_room()
    await asyncio.sleep(1)
    assert not waiting.done()
    await box.drain(30)
    await waiting


async def test_a_whole_gateway_over_a_restart(gateway, tmp_path):
    bridges = {"one": steady("1"), "two": steady("2")}
    outbox = {"directory": str(tmp_path), "spill_after": 1}
    async with gateway(bridges=bridges, outbox=outbox) as running:
        running.link.connect(up=False)
        await until(lambda: running.counts("two").get("buffered", 0) >= 20)
        left = {name: running.counts(name)["buffered"] for name in ("one", "two")}
    assert len(list(tmp_path.glob("*.outbox"))) == 1, "one for all"
    async with gateway(bridges=bridges, outbox=outbox) as running:
        await until(lambda: running.counts("two").get("delivered", 0) > left["two"])
        for name in ("one", "two"):
            assert running.counts(name)["recovered"] >= left[name]
        running.assert_accounted("one", "two", "")
        for records in (running.link.records("one"), running.link.records("two")):
            assert len(records) >= 20
    numbers = running.link.numbers()
    assert all(each == list(range(each[0], each[0] + len(each))) for each in numbers.values())
