"""The outbox: order, bounds, accounting, and what survives."""

import asyncio
import errno
from pathlib import Path

import pytest

from device_bridge import OutboxSettings
from device_bridge.clocks import Clocks
from device_bridge.outbox.durable import Outbox
from device_bridge.outbox.memory import TOO_LARGE
from device_bridge.outbox.spilling import NO_DISK_BYTES
from device_bridge.outbox.storage.disk import Disk

from ..movable_clock import now
from ..simulated_disk import SimulatedDisk

pytestmark = pytest.mark.clock("movable")
FOLDER = Path("/state/box.outbox")
CLOCKS = Clocks(wall=lambda: 1_795_000_000 + now(), since_boot=now, boot="this boot")


def accounted(box: Outbox) -> bool:
    return box.read == box.delivered + box.buffered + box.dropped.total()


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


def bodies(box: Outbox) -> list[bytes]:
    taken = []
    while (entry := box.take()) is not None:
        taken.append(entry.body)
    return taken


async def drain(box: Outbox) -> list[bytes]:
    """Delivers everything, as a node that answers at once would."""
    taken = []
    while not box.is_empty:
        await asyncio.wait_for(box.wait_unsent(), 60)
        entry = box.take()
        if entry is not None:
            taken.append(entry.body)
            box.acknowledge()
        assert accounted(box)
    return taken


def numbered(first, last):
    return [b"%d" % n for n in range(first, last + 1)]


def fill(box, first, last):
    for body in numbered(first, last):
        box.put(body, 1)
        assert accounted(box)


class Runs:
    """Runs of a service one after another, on one disk."""

    def __init__(self):
        self.disk = SimulatedDisk()
        self.boxes = []

    async def __call__(self, folder=FOLDER, **options):
        box = Outbox(OutboxSettings(**options), folder, disk=self.disk, clocks=CLOCKS)
        self.boxes.append(box)
        await box.open()
        return box

    def crash(self):
        """Ends the last run as SIGKILL would: nothing more is written."""
        self.boxes.pop()._disk._task.cancel()
        self.disk.kill()

    def names(self):
        return self.disk.names(FOLDER)


@pytest.fixture
async def make():
    runs = Runs()
    yield runs
    runs.disk.faults, runs.disk.capacity = [], 1 << 40
    for box in runs.boxes:
        await box.close()


async def test_in_memory_first_in_first_out(make):
    box = await make(None)
    fill(box, 1, 3)
    assert bodies(box) == numbered(1, 3)
    box.acknowledge()
    assert (box.delivered, box.buffered) == (1, 2)
    box.rewind()
    assert bodies(box) == numbered(2, 3)


async def test_nothing_is_written_while_the_node_keeps_up(make):
    box = await make(spill_after=2)
    for _ in range(1000):
        box.put(b"x" * 100, 1)
        box.take()
        box.acknowledge()
        await asyncio.sleep(0.1)
    assert make.names() == ["lock"]


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_a_full_outbox_gives_up_what_the_settings_say(make, policy):
    box = await make(None, max_messages=10, on_full=policy)
    fill(box, 1, 25)
    assert box.dropped == {"outbox full": 15}
    assert bodies(box) == (numbered(16, 25) if policy == "drop_oldest" else numbered(1, 10))


async def test_what_is_under_way_is_never_given_up(make):
    box = await make(None, max_messages=3)
    fill(box, 1, 3)
    sent = bodies(box)
    fill(box, 4, 4)
    assert box.dropped == {"outbox full": 1}
    for _ in sent:
        box.acknowledge()
    assert box.delivered == 3


async def test_bytes_are_bounded_too(make):
    box = await make(None, max_bytes=4096)
    for _ in range(100):
        box.put(b"x" * 500, 1)
    assert box.buffered <= 4096 // 500
    assert accounted(box)


async def test_one_message_that_is_too_large_costs_only_itself(make):
    box = await make(None, max_bytes=4096)
    fill(box, 1, 10)
    box.put(bytes(5000), 1)
    assert box.dropped == {TOO_LARGE: 1}
    assert bodies(box) == numbered(1, 10)


async def test_pause_reading_holds_the_reader_instead_of_dropping(make):
    box = await make(None, max_messages=2, on_full="pause_reading")
    fill(box, 1, 2)
    waiting = asyncio.ensure_future(box.wait_room())
    await asyncio.sleep(0)
    assert not waiting.done()
    box.take()
    box.acknowledge()
    await asyncio.wait_for(waiting, 60)
    assert not box.dropped


async def test_another_policy_releases_the_reader(make):
    box = await make(None, max_messages=2, on_full="pause_reading")
    fill(box, 1, 2)
    box.configure(OutboxSettings(max_messages=2))
    await asyncio.wait_for(box.wait_room(), 60)
    fill(box, 3, 3)
    assert bodies(box) == numbered(2, 3)


async def test_always_writes_before_it_sends(make):
    box = await make(durability="always")
    fill(box, 1, 100)
    assert box.take() is None
    await box.wait_unsent()
    make.crash()
    again = await make(durability="always")
    assert again.recovered == 100
    assert await drain(again) == numbered(1, 100)


async def test_a_crash_sends_again_only_what_was_not_yet_forgotten(make):
    box = await make(durability="always")
    fill(box, 1, 50)
    await box.wait_unsent()
    for _ in range(20):
        box.take()
        box.acknowledge()
    await asyncio.sleep(1)  # receipts reach the disk by themselves
    make.crash()
    again = await make(durability="always")
    assert await drain(again) == numbered(21, 50)


async def test_waiting_messages_spill_and_memory_stays_flat(make):
    box = await make(memory_bytes=20_000, spill_after=60)
    for n in range(1, 5_001):
        box.put(b"%06d" % n + b"x" * 100, 1)
        if n % 50 == 0:
            await asyncio.sleep(0.1)
            assert box.bytes_in_memory < 60_000
    assert box.buffered == 5_000
    assert [body[:6] for body in await drain(box)] == [b"%06d" % n for n in range(1, 5_001)]
    await box.close()
    assert make.names() == ["lock"]


async def test_small_messages_come_back_from_disk_within_the_same_memory(make):
    box = await make(memory_bytes=8192, max_messages=1000)
    box.put(bytes(1000), 1)
    for _ in range(500):
        box.put(b"x", 1)
    await box.close()
    box = await make(memory_bytes=8192, max_messages=1000)
    await asyncio.wait_for(box.wait_unsent(), 60)
    assert 0 < box.bytes_in_memory <= 8192


async def test_one_old_message_is_enough_to_spill(make):
    box = await make(spill_after=2)
    box.put(b"1", 1)
    await asyncio.sleep(2.1)
    make.crash()
    again = await make()
    assert await drain(again) == [b"1"]


async def test_an_orderly_end_keeps_what_was_only_in_memory(make):
    box = await make(spill_after=60)
    fill(box, 1, 2500)
    box.take()
    box.take()
    box.acknowledge()
    await box.close()
    assert (box.buffered, box.dropped.total()) == (2499, 0)
    again = await make()
    fill(again, 2501, 2502)
    assert await drain(again) == numbered(2, 2502)


async def test_an_end_without_a_disk_counts_its_loss(make):
    box = await make(None)
    fill(box, 1, 2500)
    await box.close()
    assert box.dropped == {"stopped": 2500}
    assert accounted(box)


@pytest.mark.parametrize("awaits", range(8))
async def test_a_closing_that_is_cancelled_at_any_await_loses_nothing(make, awaits):
    box = await make()
    fill(box, 1, 2500)
    closing = asyncio.ensure_future(box.close())
    for _ in range(awaits):
        await asyncio.sleep(0.0005)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    await box.close()
    again = await make()
    assert await drain(again) == numbered(1, 2500)


@pytest.mark.parametrize("awaits", range(6))
async def test_an_opening_that_is_cancelled_at_any_await_loses_nothing(make, awaits):
    box = await make()
    fill(box, 1, 10)
    await box.close()
    again = Outbox(OutboxSettings(), FOLDER, disk=make.disk, clocks=CLOCKS)
    opening = asyncio.ensure_future(again.open())
    for _ in range(awaits):
        await asyncio.sleep(0.0003)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    await again.close()
    last = await make()
    assert await drain(last) == numbered(1, 10)


async def test_a_receipt_while_it_is_closed_is_no_error(make):
    box = await make()
    fill(box, 1, 3)
    bodies(box)
    closing = asyncio.ensure_future(box.close())
    await asyncio.sleep(0)
    box.acknowledge()
    await closing
    assert accounted(box)


async def test_drop_oldest_reaches_what_is_on_disk(make):
    box = await make(durability="always", max_messages=1000, memory_bytes=4096)
    for first in range(1, 5001, 100):
        fill(box, first, first + 99)
        await asyncio.sleep(0.1)
    assert accounted(box)
    left = await drain(box)
    assert left[-1] == b"5000"
    assert len(left) <= 1000
    assert left == numbered(5001 - len(left), 5000)
    await box.close()
    again = await make(durability="always")
    assert again.recovered == 0


async def test_what_is_dropped_while_it_is_written_does_not_come_back(make):
    box = await make(durability="always", max_messages=3)
    fill(box, 1, 3)
    await asyncio.sleep(0)  # the commit has begun
    fill(box, 4, 6)
    await box.wait_written()
    await asyncio.sleep(3)
    left = 6 - box.dropped.total()
    make.crash()
    again = await make(durability="always", max_messages=10)
    assert await drain(again) == numbered(7 - left, 6)


async def test_an_outbox_that_is_exactly_full_keeps_its_oldest(make):
    box = await make(max_messages=100)
    fill(box, 1, 100)
    await box.close()
    again = await make(max_messages=100)
    assert await drain(again) == numbered(1, 100)
    assert not again.dropped


async def test_an_outbox_that_opens_late_takes_up_what_it_holds_in_order(make):
    box = await make()
    fill(box, 1, 10)
    await box.close()
    lock = make.disk.lock(FOLDER / "lock")  # the container before is still there
    again = await make()
    assert "another process" in again.problem
    fill(again, 11, 14)
    assert again.take().body == b"11", "sending does not wait for the disk"
    make.disk.unlock(lock)
    await asyncio.sleep(15)
    assert not again.problem
    assert again.take() is None, "what is older is not overtaken by any more"
    again.acknowledge()
    assert await drain(again) == numbered(1, 10) + numbered(12, 14)
    assert (again.recovered, again.read, again.delivered) == (10, 14, 14)


async def test_a_late_disk_holds_what_was_never_written(make):
    make.disk.faults = [OSError(errno.EROFS, "Read-only file system")]
    box = await make(spill_after=1)
    fill(box, 1, 5)
    assert "Read-only" in box.problem
    await asyncio.sleep(20)
    make.crash()
    again = await make()
    assert await drain(again) == numbered(1, 5)


async def test_a_full_disk_goes_on_in_memory_and_comes_back(make):
    box = await make(durability="always")
    fill(box, 1, 10)
    await box.wait_written()
    make.disk.capacity = make.disk.used + 100
    fill(box, 11, 20)
    await until(lambda: box.problem)
    assert "No space left" in box.problem
    fill(box, 21, 30)
    make.disk.capacity = 1 << 40
    await until(lambda: not box.problem)
    fill(box, 31, 40)
    await box.wait_written()
    make.crash()
    again = await make(durability="always")
    assert await drain(again) == numbered(1, 40)
    assert not again.dropped


async def test_a_full_disk_does_not_fill_the_memory(make):
    make.disk.capacity = 1000
    box = await make(durability="always")
    box.put(bytes(1000), 1)
    await until(lambda: box.problem)
    for _ in range(1000):
        box.put(bytes(10_000), 1)
        assert accounted(box)
    assert box.bytes_in_memory <= NO_DISK_BYTES


async def test_a_disk_that_cannot_be_read_is_given_up_after_half_a_minute(make):
    box = await make(memory_bytes=4096, max_messages=1000)
    for first in range(1, 501, 10):
        fill(box, first, first + 9)
        await asyncio.sleep(3)
    make.disk.read_error = OSError(errno.EIO, "Input/output error")
    for number in range(501, 600):
        fill(box, number, number)
        for _ in bodies(box):
            box.acknowledge()
        await asyncio.sleep(1)
    assert box.delivered > 50, "what came after it is delivered although it still cannot be read"
    assert box.dropped == {"damaged on disk": box.read - box.delivered - box.buffered}
    assert any("set-aside" in name for name in make.names())


async def test_a_device_faster_than_the_disk_is_held_back(make):
    box = await make(durability="always", memory_bytes=10_000)
    while box.has_room():
        box.put(bytes(100), 1)
    assert 20_000 < box.bytes_in_memory < 21_000
    await asyncio.wait_for(box.wait_room(), 60)
    assert not box.dropped


async def test_what_is_delivered_while_it_is_written_is_not_found_again(make):
    box = await make(spill_after=60)
    fill(box, 1, 5)
    box.spill()
    await asyncio.sleep(0)  # the commit is under way
    while box.take():
        box.acknowledge()
    await asyncio.sleep(1)
    make.crash()
    again = await make()
    assert again.recovered == 0


async def test_an_error_that_nobody_thought_of_is_reported_counted_and_survived(make, caplog):
    box = await make(durability="always")
    make.disk.faults = [KeyError("nobody thought of this")]
    fill(box, 1, 3)
    await until(lambda: box.problem)
    assert "KeyError" in box.problem
    assert "unexpected error" in caplog.text
    assert box.disk_errors == 1
    await until(lambda: not box.problem)
    fill(box, 4, 5)
    assert await drain(box) == numbered(1, 5)


async def test_commits_are_grouped_while_the_node_is_away(make):
    box = await make(spill_after=2)
    box.put(bytes(250), 1)
    await asyncio.sleep(3)
    calls, written = make.disk.calls, make.disk.written
    for _ in range(100):
        box.put(bytes(250), 1)
        await asyncio.sleep(1)
    assert make.disk.calls - calls <= 2 * 50 + 4, "fifty commits of two calls, not a hundred"
    assert make.disk.written - written < 2.5 * 100 * 250, "flash wears by what is written"
    await asyncio.sleep(3)
    assert box.is_written


async def test_the_age_of_the_oldest_is_never_a_sentinel(make):
    box = await make(durability="always")
    ages = []
    for number in range(1, 20):
        fill(box, number, number)
        for _ in range(3):
            ages.append(box.oldest_age_s())
            await asyncio.sleep(0.0005)
        for _ in bodies(box):
            box.acknowledge()
            ages.append(box.oldest_age_s())
    assert 0 <= min(ages) <= max(ages) < 60


async def test_the_store_refuses_a_second_owner(tmp_path):
    disk = Disk()
    lock = disk.lock(tmp_path / "lock")
    with pytest.raises(BlockingIOError):
        disk.lock(tmp_path / "lock")
    disk.unlock(lock)
    disk.unlock(disk.lock(tmp_path / "lock"))
