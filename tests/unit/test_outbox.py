"""The outbox: order, bounds, accounting, and what survives."""

import asyncio
import os
import random
import sqlite3
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import OutboxSettings
from device_bridge.outbox.durable import Outbox
from device_bridge.outbox.entry import Entry, StoreError
from device_bridge.outbox.sqlite_store import Store

SEED = int(os.environ.get("SEED", "0"))


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


@pytest.fixture
async def make(tmp_path):
    """Opens outboxes on one file, as runs of a service one after another would."""
    opened = []

    async def begin(file="box.db", **options):
        box = Outbox(OutboxSettings(**options), tmp_path / file if file else None)
        opened.append(box)
        await box.open()
        return box

    yield begin
    for box in opened:
        await box.close()


async def crash(box: Outbox):
    """Ends an outbox as SIGKILL would: nothing more is written."""
    box._disk_task.cancel()
    await asyncio.gather(box._disk_task, return_exceptions=True)
    box._disk_task, store, box._store = None, box._store, None
    await asyncio.get_running_loop().run_in_executor(box._worker, store.close)


async def test_in_memory_first_in_first_out(make):
    box = await make(file=None)
    fill(box, 1, 3)
    assert bodies(box) == numbered(1, 3)
    box.acknowledge()
    assert (box.delivered, box.buffered) == (1, 2)
    box.rewind()
    assert bodies(box) == numbered(2, 3)


async def test_nothing_is_written_while_the_node_keeps_up(make, tmp_path):
    box = await make()
    size = (tmp_path / "box.db").stat().st_size
    for _ in range(1000):
        box.put(b"x" * 100, 1)
        box.take()
        box.acknowledge()
    await asyncio.sleep(0)
    assert not box._on_disk
    assert (tmp_path / "box.db").stat().st_size == size


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_a_full_outbox_gives_up_what_the_settings_say(make, policy):
    box = await make(file=None, max_messages=10, on_full=policy)
    fill(box, 1, 25)
    assert box.dropped == {"outbox full": 15}
    assert bodies(box) == (numbered(16, 25) if policy == "drop_oldest" else numbered(1, 10))


async def test_what_is_under_way_is_never_given_up(make):
    box = await make(file=None, max_messages=3)
    fill(box, 1, 3)
    sent = bodies(box)
    fill(box, 4, 4)
    assert box.dropped == {"outbox full": 1}
    for _ in sent:
        box.acknowledge()
    assert box.delivered == 3


async def test_bytes_are_bounded_too(make):
    box = await make(file=None, max_bytes=4096)
    for _ in range(100):
        box.put(b"x" * 500, 1)
    assert box.buffered <= 4096 // 500
    assert accounted(box)


async def test_block_device_holds_the_reader_instead_of_dropping(make):
    box = await make(file=None, max_messages=2, on_full="pause_reading")
    fill(box, 1, 2)
    waiting = asyncio.ensure_future(box.wait_room())
    await asyncio.sleep(0)
    assert not waiting.done()
    box.take()
    box.acknowledge()
    await asyncio.wait_for(waiting, 60)
    assert not box.dropped


async def test_always_writes_before_it_sends(make):
    box = await make(durability="always")
    fill(box, 1, 100)
    assert box.take() is None
    await box.wait_unsent()
    await crash(box)
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
    await until(lambda: not box._unflushed_acks)  # receipts reach the disk by themselves
    await asyncio.get_running_loop().run_in_executor(box._worker, lambda: None)
    await crash(box)
    again = await make(durability="always")
    assert await drain(again) == numbered(21, 50)


async def test_waiting_messages_spill_and_memory_stays_flat(make):
    box = await make(memory_bytes=20_000, spill_after=60)
    for n in range(1, 20_001):
        box.put(b"%06d" % n + b"x" * 100, 1)
        if n % 500 == 0:
            await until(lambda: not box._fresh)
            assert box.bytes_in_memory < 200_000
    await until(lambda: box.bytes_in_memory < 130_000)  # one page loaded, and what was there before
    assert box.buffered == 20_000
    assert [body[:6] for body in await drain(box)] == [b"%06d" % n for n in range(1, 20_001)]
    await until(lambda: not box._on_disk)


async def test_one_old_message_is_enough_to_spill(make):
    box = await make(spill_after=0.01)
    box.put(b"1", 1)
    await until(lambda: box._on_disk and box._written_to == 1)
    await crash(box)
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
    box = await make(file=None)
    fill(box, 1, 2500)
    await box.close()
    assert box.dropped == {"stopped": 2500}
    assert accounted(box)


async def test_drop_oldest_reaches_what_is_on_disk(make):
    box = await make(durability="always", max_messages=1000, memory_bytes=4096)
    for first in range(1, 5001, 100):
        fill(box, first, first + 99)
        await until(lambda: not box._fresh and not box._disk_due.is_set())
    assert accounted(box)
    left = await drain(box)
    assert left[-1] == b"5000"
    assert len(left) <= 1000
    assert left == numbered(5001 - len(left), 5000)
    await box.close()
    again = await make(durability="always")
    assert again.recovered == 0


def corrupt(file, seed):
    rng = random.Random(seed)
    data = bytearray(file.read_bytes())
    for _ in range(rng.randint(1, 50)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    file.write_bytes(data)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(SEED, SEED + 40))
async def test_a_damaged_file_never_keeps_a_service_from_starting(make, tmp_path, seed):
    box = await make(durability="always")
    for n in range(200):
        box.put(b"%03d" % n + bytes(100), 1)
    await until(lambda: box._written_to == 200)
    await box.close()
    corrupt(tmp_path / "box.db", seed)
    again = await make(durability="always")
    fill(again, 1000, 1004)
    delivered = await drain(again)
    assert delivered[-5:] == numbered(1000, 1004)
    old = [body[:3] for body in delivered[:-5]]
    assert old == sorted(set(old))
    assert all(len(body) == 103 and set(body[3:]) == {0} for body in delivered[:-5])
    assert accounted(again)
    assert len(old) == 200 or again.dropped or list(tmp_path.glob("box.db.set-aside-*"))


@pytest.mark.parametrize("kind", ["foreign database", "text", "newer layout"])
async def test_a_foreign_file_is_set_aside_and_kept(make, tmp_path, caplog, kind):
    file = tmp_path / "box.db"
    if kind == "text":
        file.write_text("not a database at all, but something dear to somebody" * 100)
    else:
        database = sqlite3.connect(file)
        database.execute("CREATE TABLE diary (entry TEXT)")
        if kind == "newer layout":
            database.execute(f"PRAGMA application_id = {0x494F4246}")
            database.execute("PRAGMA user_version = 99")
        database.commit()
        database.close()
    before = file.read_bytes()
    box = await make()
    (aside,) = tmp_path.glob("box.db.set-aside-*")
    assert aside.read_bytes() == before
    assert "a new file begun" in caplog.text
    fill(box, 1, 3)
    assert await drain(box) == numbered(1, 3)


async def test_a_folder_that_cannot_be_made_leaves_it_in_memory(make, tmp_path):
    (tmp_path / "file").write_text("")
    box = await make(file="file/box.db", durability="always")
    assert "File exists" in box.problem
    fill(box, 1, 3)
    assert await drain(box) == numbered(1, 3)


class FullDisk(Store):
    """A disk that can be full."""

    full = False

    def commit(self, added, acknowledged, dropped=()):
        if self.full:
            raise StoreError("database or disk is full")
        super().commit(added, acknowledged, dropped)


async def test_a_full_disk_goes_on_in_memory_and_comes_back(make, tmp_path, monkeypatch):
    monkeypatch.setattr("device_bridge.outbox.sqlite_store.Store", FullDisk)
    monkeypatch.setattr("device_bridge.outbox.durable._RETRY_S", 0.01)
    box = await make(durability="always")
    fill(box, 1, 10)
    await until(lambda: box._written_to == 10)
    box._store.full = True
    fill(box, 11, 20)
    await until(lambda: box.problem)
    fill(box, 21, 30)
    box._store.full = False
    await until(lambda: not box.problem)
    fill(box, 31, 40)
    assert await drain(box) == numbered(1, 40)


async def test_a_full_disk_does_not_fill_the_memory(make, monkeypatch):
    monkeypatch.setattr("device_bridge.outbox.sqlite_store.Store", FullDisk)
    monkeypatch.setattr("device_bridge.outbox.durable.NO_DISK_BYTES", 10_000)
    box = await make(durability="always")
    box._store.full = True
    box.put(b"first", 1)
    await until(lambda: box.problem)
    for _ in range(1000):
        box.put(bytes(100), 1)
        assert accounted(box)
    assert box.bytes_in_memory <= 10_500
    box._store.full = False


class SlowDisk(Store):
    """A disk that writes when it is let."""

    allowed = threading.Event()

    def commit(self, added, acknowledged, dropped=()):
        self.allowed.wait(10)
        super().commit(added, acknowledged, dropped)


async def test_a_device_faster_than_the_disk_is_held_back(make, monkeypatch):
    monkeypatch.setattr("device_bridge.outbox.sqlite_store.Store", SlowDisk)
    box = await make(durability="always", memory_bytes=10_000)
    while box._has_room.is_set():
        box.put(bytes(100), 1)
        await asyncio.sleep(0)
    assert 20_000 < box.bytes_in_memory < 21_000
    waiting = asyncio.ensure_future(box.wait_room())
    await asyncio.sleep(0)
    assert not waiting.done()
    SlowDisk.allowed.set()
    await asyncio.wait_for(waiting, 60)
    assert not box.dropped


async def test_what_is_delivered_while_it_is_written_is_not_found_again(make, monkeypatch):
    monkeypatch.setattr("device_bridge.outbox.sqlite_store.Store", SlowDisk)
    monkeypatch.setattr(SlowDisk, "allowed", threading.Event())
    box = await make(spill_after=60)
    fill(box, 1, 5)
    box.spill()
    await until(lambda: not box._disk_due.is_set())  # the commit is under way
    while box.take():
        box.acknowledge()
    SlowDisk.allowed.set()
    await box.close()
    again = await make()
    assert again.recovered == 0


def test_the_store_refuses_a_second_owner(tmp_path):
    first, second = Store(tmp_path / "box.db"), Store(tmp_path / "box.db")
    first.open()
    first.commit([Entry(1, b"x", 1, 0.0)], 0)
    with pytest.raises(StoreError, match="locked"):
        second.open()
    first.close()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 30)),
        st.tuples(st.just("take"), st.integers(1, 30)),
        st.tuples(st.just("ack"), st.integers(1, 30)),
        st.tuples(st.sampled_from(["rewind", "disk", "restart", "crash"]), st.just(0)),
    ),
    max_size=40,
)


@given(steps, st.sampled_from(["spill", "always"]))
def test_any_history_keeps_order_and_accounts_for_everything(tmp_path_factory, history, durability):
    asyncio.run(run_history(tmp_path_factory.mktemp("box"), history, durability))


async def run_history(folder, history, durability):
    options = OutboxSettings(durability=durability, memory_bytes=4096, spill_after=0.0)

    async def begin():
        opened = Outbox(options, folder / "box.db")
        await opened.open()
        return opened

    box, put, sent, delivered = await begin(), 0, 0, []

    async def settle():
        await until(
            lambda: not box._fresh and not box._disk_due.is_set() and box._written_to >= box._last_in_memory()
        )

    for step, count in history:
        if step == "put":
            for _ in range(count):
                put += 1
                box.put(b"%d" % put + b"x" * 200, 1)
        elif step == "take":
            sent += sum(box.take() is not None for _ in range(count))
        elif step == "ack":
            for _ in range(min(count, sent)):
                delivered.append(box._sent[0].body)
                box.acknowledge()
                sent -= 1
        elif step == "rewind":
            box.rewind()
            sent = 0
        elif step == "disk":
            await asyncio.sleep(0.002)
        elif step == "restart":
            await box.close()
            box, sent = await begin(), 0
        else:
            box.spill()
            await settle()
            await crash(box)
            box, sent = await begin(), 0
        assert accounted(box)
    box.rewind()
    rest = await drain(box)
    await box.close()
    numbers = [int(body.rstrip(b"x")) for body in delivered + rest]
    assert set(numbers) == set(range(1, put + 1))
    first_time = list(dict.fromkeys(numbers))
    assert first_time == sorted(first_time)
