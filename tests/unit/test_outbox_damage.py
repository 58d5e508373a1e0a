"""Damage of the outbox's files, at random: what is lost is counted, what is torn is told from what is damaged."""

import asyncio
import errno
import itertools
import os
import random
import sqlite3
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_bridge import OutboxSettings
from device_bridge.clocks import Clocks
from device_bridge.outbox.durable import Outbox
from device_bridge.outbox.storage import set_aside
from device_bridge.outbox.storage.disk import Disk
from device_bridge.outbox.storage.records import HEAD_SIZE

from ..movable_clock import MovableClockLoop, now
from ..simulated_disk import Killed, SimulatedDisk

FOLDER = Path("/state/box.outbox")
examples = settings(max_examples=settings().max_examples // 4)


def begin(disk, boot="boot 1", **options):
    options = {"durability": "always", "memory_bytes": 4096, "max_bytes": 1 << 20} | options
    clocks = Clocks(wall=lambda: 1_795_000_000 + now(), since_boot=now, boot=boot)
    return Outbox(OutboxSettings(**options), FOLDER, disk=disk, clocks=clocks)


def kill(box, disk):
    box._disk._task.cancel()
    disk.kill()


async def drain(box):
    taken = []
    while not box.is_empty:
        if (entry := box.take()) is None:
            await asyncio.sleep(0.01)
        else:
            taken.append(entry)
            box.acknowledge()
        assert box.read == box.delivered + box.buffered + box.dropped.total()
    return taken


def run(work):
    with asyncio.Runner(loop_factory=MovableClockLoop) as runner:
        return runner.run(work)


async def fill(disk, rng, count, acknowledged=0):
    """A run that is killed when it has written so many messages of random sizes; returns what was not delivered."""
    box = begin(disk)
    await box.open()
    for number in range(1, count + 1):
        box.put(b"%d " % number + rng.randbytes(rng.choice((50, 200, 3000))), 1)
        if rng.random() < 0.2:
            await asyncio.sleep(0.01)
    await box.wait_written()
    for _ in range(acknowledged):
        while box.take() is None:
            await asyncio.sleep(0.01)
        box.acknowledge()
    await asyncio.sleep(2)
    assert box.buffered == count - acknowledged
    kill(box, disk)
    return set(range(acknowledged + 1, count + 1))


@pytest.mark.clock("movable")
async def test_each_flipped_bit_of_a_record_costs_its_message_and_nothing_is_taken_for_right():
    """The clock's mark and the times too: by them a time is corrected, or said to be in doubt."""
    disk, mark = SimulatedDisk(), "0f7a9a3293a1:1790000000.500!"
    box = begin(disk)
    await box.open()
    for body in (b"1", b"2"):
        box.put(body, 1, mark)
    await box.wait_written()
    before = [entry for entry in (box.take(), box.take()) if entry is not None]
    kill(box, disk)
    (path,) = [path for path in disk.files if path.suffix == ".segment"]
    files = {path: bytes(content.data) for path, content in disk.files.items() if path.name != "lock"}
    start = files[path].index(mark.encode() + b"1") - HEAD_SIZE
    for bit in range(8 * (HEAD_SIZE + len(mark) + 1)):
        damaged = SimulatedDisk()
        for each, data in files.items():
            damaged.create(each).write(data, 0)
        damaged.files[path].data[start + bit // 8] ^= 1 << bit % 8
        again = begin(damaged)
        await again.open()
        assert [msgspec.structs.asdict(each) for each in await drain(again)] == [msgspec.structs.asdict(before[1])]
        assert again.dropped == {"damaged on disk": 1}, bit
        await again.close()


CHANGES = ("flip", "block", "cut", "insert")


def damage(disk, rng, kinds=(*CHANGES, "remove")):
    """Does one thing to one file; returns what."""
    path = rng.choice([path for path in disk.files if path.name != "lock"])
    data, kind = disk.files[path].data, rng.choice(kinds)
    at = rng.randrange(max(1, len(data)))
    if kind == "flip" and data:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "block":
        data[at : at + 512] = rng.choice((bytes, rng.randbytes))(min(512, len(data) - at))
    elif kind == "cut":
        del data[at:]
    elif kind == "insert":
        data[at:at] = rng.randbytes(rng.randint(1, 100))
    elif kind == "remove":
        del disk.files[path]
    return path.name, kind, at


def is_kept_aside(disk):
    return any("set-aside" in path.name for path in disk.files)


async def check_damage(seed, damages):
    rng, disk = random.Random(seed), SimulatedDisk(seed)
    count = rng.randint(1, 300)
    left = await fill(disk, rng, count, rng.randint(0, count // 2))
    # With a file and what tells of it both removed, nobody can know.
    done = [damage(disk, rng, CHANGES if damages > 1 else (*CHANGES, "remove")) for _ in range(damages)]
    box = begin(disk)
    await box.open()
    received = {int(entry.body.split()[0]) for entry in await drain(box)}
    lost = left - received
    counted = box.dropped.total()
    assert set(box.dropped) <= {"damaged on disk"} | ({"torn at the end"} if damages > 1 else set()), done
    if not is_kept_aside(disk):
        assert counted >= len(lost), done
    if damages == 1:
        assert counted == len(lost), done
    if not lost and damages == 1:
        assert not counted, done
    await box.close()
    again = begin(disk)
    await again.open()
    assert not again.dropped, "what is counted once is not counted again"
    await again.close()


@examples
@given(st.integers(0, 2**32))
def test_what_one_damage_loses_is_counted_exactly(seed):
    run(check_damage(seed, 1))


@examples
@given(st.integers(0, 2**32), st.integers(2, 6))
def test_what_damages_lose_is_counted_or_kept_aside(seed, damages):
    run(check_damage(seed, damages))


async def check_damage_while_running(seed):
    rng, disk = random.Random(seed), SimulatedDisk(seed)
    box = begin(disk, durability="spill", spill_after=1)
    await box.open()
    count = rng.randint(100, 400)
    for number in range(1, count + 1):
        box.put(b"%d " % number + bytes(100), 1)
        if number % 20 == 0:
            await asyncio.sleep(0.05)
    await asyncio.sleep(2)
    done = damage(disk, rng)
    await asyncio.sleep(5)
    received = [int(entry.body.split()[0]) for entry in await drain(box)]
    assert received == sorted(set(received))
    assert len(received) + box.dropped.total() == count, done
    await box.close()
    assert not [path for path in disk.files if path.name not in ("lock",) and "set-aside" not in path.name]


@examples
@given(st.integers(0, 2**32))
def test_damage_while_it_runs_is_counted(seed):
    run(check_damage_while_running(seed))


async def check_power_cut(seed):
    rng, disk = random.Random(seed), SimulatedDisk(seed)
    sync = rng.choice(("normal", "full"))
    box = begin(disk, sync=sync)
    await box.open()
    safe, put = 0, rng.randint(1, 200)
    for number in range(1, put + 1):
        box.put(b"%d " % number + bytes(rng.choice((50, 2000))), 1)
        if rng.random() < 0.3:
            await asyncio.sleep(rng.choice((0.0005, 0.01)))
        if sync == "full" and box.is_written:
            safe = number
    box._disk._task.cancel()
    disk.cut_power()
    again = begin(disk, boot="boot 2")
    await again.open()
    received = {int(entry.body.split()[0]) for entry in await drain(again)}
    assert received >= set(range(1, safe + 1)), f"synced and lost: {sync}"
    assert "damaged on disk" not in again.dropped, "torn is not damaged"
    assert again.dropped.total() <= put - len(received)
    await again.close()


@examples
@given(st.integers(0, 2**32))
def test_what_a_power_cut_tears_is_not_taken_for_damage(seed):
    run(check_power_cut(seed))


@pytest.mark.clock("movable")
@pytest.mark.parametrize("is_running", [True, False])
async def test_a_kill_at_any_step_of_a_repair_loses_nothing(is_running):
    lost = set()
    for step in itertools.count(1):
        disk = SimulatedDisk()
        await fill(disk, random.Random(1), 30)
        box = begin(disk)
        if is_running:
            box._disk.store.open()
        path = max(path for path in disk.files if path.suffix == ".segment")
        damaged = disk.files[path]
        for part in (3, 2):
            damaged.data[len(damaged.data) // part] ^= 1
        disk.faults = [*[None] * (step - 1), Killed()]
        try:
            if is_running:
                box._disk.store.load(0, 1000, 1 << 20)
            else:
                box._disk.store.open()
        except Killed:
            disk.kill()
        else:
            break
        is_repaired = disk.files[path] is not damaged
        again = begin(disk)
        await again.open()
        received = {int(entry.body.split()[0]) for entry in await drain(again)}
        lost.add(30 - len(received))
        assert again.dropped == ({} if is_repaired else {"damaged on disk": 30 - len(received)}), step
        await again.close()
    assert lost == {2}, "of two damaged messages, whenever it was killed"


@pytest.mark.clock("movable")
@pytest.mark.parametrize("what", ["files", "one file", "everything"])
async def test_files_that_vanish_are_written_anew(caplog, what):
    disk = SimulatedDisk()
    box = begin(disk, max_bytes=1 << 20)
    await box.open()
    for number in range(1, 601):
        box.put(b"%d " % number + bytes(500), 1)
        if number % 50 == 0:
            await box.wait_written()
    before = {path: bytes(content.data) for path, content in disk.files.items() if path.suffix == ".segment"}
    assert len(before) > 3
    for path in list(disk.files):
        if what == "everything" or (path in before and (what == "files" or path == max(before))):
            del disk.files[path]
    await asyncio.sleep(4)
    assert {path: bytes(content.data) for path, content in disk.files.items() if path in before} == before
    assert "removed by another program" in caplog.text
    kill(box, disk)
    again = begin(disk)
    await again.open()
    assert len(await drain(again)) == 600
    assert not again.dropped
    await again.close()


@pytest.mark.clock("movable")
async def test_nothing_is_written_into_a_file_that_has_vanished():
    """It was removed while all in it was delivered, when nobody looks after it."""
    disk = SimulatedDisk()
    box = begin(disk, durability="spill")
    await box.open()
    box.put(b"1 ", 1)
    box.spill()
    await asyncio.sleep(20)
    await drain(box)
    for path in [path for path in disk.files if path.suffix == ".segment"]:
        del disk.files[path]
    await asyncio.sleep(20)
    box.put(b"2 ", 1)
    await box.close()
    again = begin(disk)
    await again.open()
    assert [entry.body for entry in await drain(again)] == [b"2 "]
    await again.close()


@pytest.mark.clock("movable")
async def test_files_set_aside_are_bounded(monkeypatch):
    disk, rng = SimulatedDisk(), random.Random(1)
    for _ in range(12):
        await fill(disk, rng, 200)
        path = max(path for path in disk.files if path.suffix == ".segment")
        disk.files[path].data[len(disk.files[path].data) // 2] ^= 1
        box = begin(disk)
        await box.open()
        await drain(box)
        await box.close()
        kept = [content for path, content in disk.files.items() if "set-aside" in path.name]
        assert 1 <= len(kept) <= set_aside.MAX_FILES
        assert sum(len(each.data) for each in kept) <= set_aside.MAX_BYTES


@pytest.mark.clock("movable")
async def test_disk_use_is_bounded_and_given_back():
    disk, most = SimulatedDisk(), 4 << 20
    box = begin(disk, durability="spill", max_bytes=most, memory_bytes=1 << 20)
    await box.open()
    for number in range(1, 301):
        box.put(bytes(100_000), 1)
        if number % 5 == 0:
            await asyncio.sleep(0.05)
        assert disk.used <= most * 1.125
    await asyncio.sleep(5)
    assert disk.used > most * 0.8
    await drain(box)
    await asyncio.sleep(5)
    assert disk.used <= most / 16
    await box.close()
    assert disk.used == 0
    assert disk.handles == 0


@pytest.mark.clock("movable")
async def test_a_file_of_another_layout_is_kept(caplog):
    disk = SimulatedDisk()
    await fill(disk, random.Random(1), 10)
    (path,) = [path for path in disk.files if path.suffix == ".segment"]
    data = disk.files[path].data
    data[6:8] = (9).to_bytes(2, "big")
    data[52:56] = zlib.crc32(data[:52]).to_bytes(4, "big")
    box = begin(disk)
    await box.open()
    assert "layout is 9" in caplog.text
    assert is_kept_aside(disk)
    box.put(b"1 ", 1)
    assert [entry.body for entry in await drain(box)] == [b"1 "]
    await box.close()


def old_database(file, rows, application=0x494F4246):
    database = sqlite3.connect(file)
    database.execute(f"PRAGMA application_id = {application}")
    database.execute("PRAGMA user_version = 1")
    database.execute(
        "CREATE TABLE entry (number INTEGER PRIMARY KEY, readings INTEGER NOT NULL, "
        "put_at REAL NOT NULL, crc INTEGER NOT NULL, clock TEXT NOT NULL, body BLOB NOT NULL)"
    )
    for number in range(1, rows + 1):
        body = b"%d " % number
        database.execute("INSERT INTO entry VALUES (?, 1, 1.0, ?, '', ?)", (number, zlib.crc32(body, 1), body))
    database.commit()
    database.close()


async def test_the_file_of_the_version_before_is_taken_over(tmp_path):
    old_database(tmp_path / "box.outbox.db", 1200)
    for put in (0, 3):
        box = Outbox(OutboxSettings(), tmp_path / "box.outbox")
        await box.open()
        assert box.recovered == 1200
        for number in range(put):
            box.put(b"%d " % (1201 + number), 1)
        if put:
            assert [int(entry.body) for entry in await drain(box)] == list(range(1, 1204))
        await box.close()
    assert [path.name for path in tmp_path.iterdir()] == ["box.outbox"]


async def test_a_database_of_another_program_is_left_alone(tmp_path):
    old_database(tmp_path / "box.outbox.db", 3, application=1)
    before = (tmp_path / "box.outbox.db").read_bytes()
    box = Outbox(OutboxSettings(), tmp_path / "box.outbox")
    await box.open()
    assert box.recovered == 0
    await box.close()
    assert (tmp_path / "box.outbox.db").read_bytes() == before


async def test_files_are_for_their_owner_alone(tmp_path):
    box = Outbox(OutboxSettings(durability="always"), tmp_path / "box.outbox")
    await box.open()
    box.put(b"1 ", 1)
    await box.wait_written()
    assert (tmp_path / "box.outbox").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "box.outbox").iterdir()} == {0o600}
    await box.close()


async def test_files_that_are_removed_from_a_real_disk_are_written_anew(tmp_path):
    box = Outbox(OutboxSettings(durability="always"), tmp_path / "box.outbox")
    await box.open()
    for number in range(1, 101):
        box.put(b"%d " % number, 1)
    await box.wait_written()
    (segment,) = (tmp_path / "box.outbox").glob("*.segment")
    before = segment.read_bytes()
    segment.unlink()
    async with asyncio.timeout(60):
        while not segment.exists() or segment.stat().st_size < len(before):
            await asyncio.sleep(0.05)
    assert segment.read_bytes() == before
    await box.close()


@pytest.mark.parametrize("number", [None, errno.EPERM])
def test_a_second_name_is_a_copy_where_a_file_has_only_one(number, tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"1234")
    if number:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(number, "no")))
    Disk().link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"1234"
    assert (tmp_path / "a").samefile(tmp_path / "b") == (number is None)
