"""When the outbox tells that a crash loses nothing any more: who has sent a message may forget it then."""

import asyncio
import functools
import threading

import pytest

from device_bridge import OutboxSettings
from device_bridge.outbox.durable import Outbox
from device_bridge.outbox.entry import StoreError
from device_bridge.outbox.inbound import Inbound
from device_bridge.outbox.storage.store import Store
from iofog_sdk import IoMessage


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


class Disk(Store):
    """Writes when it is allowed to, and not at all while it is broken."""

    allowed = threading.Event()
    broken = False
    begun = 0

    def commit(self, *args, **kwargs):
        type(self).begun += 1
        self.allowed.wait(10)
        if self.broken:
            raise StoreError("broken")
        super().commit(*args, **kwargs)


@pytest.fixture(autouse=True)
def disk(monkeypatch):
    monkeypatch.setattr("device_bridge.outbox.durable.Store", Disk)
    monkeypatch.setattr(Disk, "allowed", threading.Event())
    monkeypatch.setattr(Disk, "broken", False)
    monkeypatch.setattr(Disk, "begun", 0)
    yield Disk
    Disk.allowed.set()


@pytest.fixture
async def make(tmp_path, disk):
    opened = []

    async def begin(kind=Outbox, *more, **options):
        box = kind(OutboxSettings(**options), tmp_path / "box.outbox", *more)
        opened.append(box)
        await box.open()
        return box

    yield begin
    disk.allowed.set()
    for box in opened:
        await box.close()


async def test_it_is_confirmed_after_the_commit_in_the_order_of_asking(make, disk):
    box, told = await make(durability="always"), []
    box.when_written(lambda: told.append(0))
    assert told == [0], "nothing is to be written"
    for number in (1, 2):
        box.put(b"x", 1)
        box.when_written(lambda number=number: told.append(number))
    box.when_written(lambda: told.append("after 2"))
    await until(lambda: disk.begun)  # the commit is under way
    box.put(b"x", 1)
    box.when_written(lambda: told.append(3))
    assert told == [0]
    disk.allowed.set()
    await until(lambda: 3 in told)
    assert told == [0, 1, 2, "after 2", 3]
    await box.close()
    again = await make(durability="always")
    assert again.recovered == 3


@pytest.mark.parametrize("durability", ["memory", "spill"])
async def test_what_is_kept_in_memory_is_reported_at_once(make, durability):
    box, told = await make(durability=durability), []
    box.put(b"x", 1)
    box.when_written(lambda: told.append(1))
    assert told == [1]


async def test_what_the_node_has_need_not_be_written(make, disk):
    """So a disk that fails holds a sender back, but not for ever."""
    disk.broken = True
    disk.allowed.set()
    box, told = await make(durability="always"), []
    box.put(b"x", 1)
    box.when_written(lambda: told.append(1))
    await until(lambda: box.problem)
    assert not told
    await box.wait_unsent()
    box.take()
    assert not told
    box.acknowledge()
    assert told == [1]


async def test_what_is_dropped_need_not_be_written(make, disk):
    disk.allowed.set()
    box, told = await make(durability="always", max_messages=1, on_full="drop_newest"), []
    box.put(b"x", 1)
    await box.wait_written()
    box.put(b"y", 1)
    box.when_written(lambda: told.append(1))
    assert (told, box.dropped["outbox full"]) == ([1], 1)


async def test_a_message_of_the_node_is_accepted_once_it_is_written(make, disk):
    box = await make(
        functools.partial(Inbound, outgoing=Outbox(OutboxSettings())), "bridge", {"run"}, durability="always"
    )
    accepting = asyncio.ensure_future(box.accept(IoMessage(id="m1", contentdata=b"x")))
    await until(lambda: box.read == 1 and disk.begun)
    assert not accepting.done()
    disk.allowed.set()
    await asyncio.wait_for(accepting, 60)
    assert box.is_written
