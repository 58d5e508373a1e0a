"""What services are made of: members, schedules, change reports, totals, unique names."""

import asyncio
import json
import os

import pytest

from device_bridge import DeviceError, DeviceErrorKind, Quality, Quantity, Reading, SettingsError, require_unique
from device_bridge.control import ChangeReporter, Member, Ticker, Totals

LEVEL = Quantity("level", "m")


def timeout():
    return DeviceError(DeviceErrorKind.TIMEOUT, "unit 1", "no answer within 0.5 s")


class Unit:
    """Fails when it is told to."""

    def __init__(self):
        self.error = None
        self.asked = 0

    async def measure(self):
        self.asked += 1
        if self.error is not None:
            raise self.error
        return [LEVEL.good(self.asked)]


async def test_a_member_fails_once_backs_off_and_comes_back(caplog):
    caplog.set_level("INFO")
    unit, member = Unit(), Member("unit 1", [LEVEL], retry_s=10)
    assert (await member.attempt(unit.measure, attempts=3))[0].value == 1
    unit.error = timeout()
    (bad,) = await member.attempt(unit.measure, attempts=3)
    assert (bad.value, bad.quality, bad.reason) == (None, Quality.BAD, "timeout: no answer within 0.5 s")
    assert unit.asked == 4, "three attempts"
    assert 0 < member.retry_in_s <= 10
    assert await member.attempt(unit.measure, attempts=3) == ()
    assert unit.asked == 5, "one that is failing gets a single attempt"
    assert member.retry_in_s > 5
    unit.error = None
    assert (await member.attempt(unit.measure))[0].quality is Quality.GOOD
    assert (member.is_failing, member.retry_in_s, member.failures) == (False, 0.0, 2)
    assert [record.message for record in caplog.records] == [
        "unit 1: timeout: no answer within 0.5 s; it is tried again, the others go on",
        "unit 1 works again",
    ]


async def test_what_concerns_all_members_is_raised_and_what_cannot_change_is_not_repeated():
    unit, member = Unit(), Member("unit 1", [LEVEL])
    unit.error = DeviceError(DeviceErrorKind.GONE, "bus", "unplugged")
    with pytest.raises(DeviceError):
        await member.attempt(unit.measure, attempts=3)
    unit.error = DeviceError(DeviceErrorKind.NOT_FOUND, "0x76", "no acknowledge")
    unit.asked = 0
    await member.attempt(unit.measure, attempts=3)
    assert unit.asked == 1


async def test_one_that_recovers_only_to_fail_again_keeps_backing_off():
    unit, member, waits = Unit(), Member("unit 1", [LEVEL], retry_s=1.0, max_retry_s=1000), []
    for _ in range(6):
        unit.error = timeout()
        await member.attempt(unit.measure)
        waits.append(member.retry_in_s)
        unit.error = None
        await member.attempt(unit.measure)
    assert waits[-1] > 4 * waits[0]


async def test_members_polled_side_by_side_do_not_disturb_each_other():
    good, dead, samples = Unit(), Unit(), []
    dead.error = timeout()

    async def put(sample):
        samples.append(sample)

    tasks = [
        asyncio.ensure_future(Member(name, [LEVEL], retry_s=0.05).poll(unit.measure, put, 0.005))
        for name, unit in (("good", good), ("dead", dead))
    ]
    async with asyncio.timeout(20):
        while good.asked < 20:
            await asyncio.sleep(0.002)
    for task in tasks:
        task.cancel()
    assert len([sample for sample in samples if sample[0].quality is Quality.BAD]) == 1
    assert dead.asked < good.asked


async def test_a_watch_that_fails_is_begun_again_and_works_once_it_reports():
    lives, samples, member = [], [], Member("GPIO4", [LEVEL], retry_s=0.01)

    async def watch(put):
        lives.append(member.is_failing)
        if len(lives) < 3:
            raise DeviceError(DeviceErrorKind.BUSY, "GPIO4", "in use by w1")
        await put([LEVEL.good(len(lives))])
        await asyncio.Event().wait()

    async def put(sample):
        samples.append(sample[0])

    task = asyncio.ensure_future(member.keep(watch, put))
    async with asyncio.timeout(20):
        while len(samples) < 2:
            await asyncio.sleep(0.002)
    task.cancel()
    assert [(sample.value, sample.reason) for sample in samples] == [(None, "busy: in use by w1"), (3, "")]
    assert lives == [False, True, True]
    assert not member.is_failing


async def test_a_schedule_is_not_shifted_by_work_and_leaves_out_what_it_missed():
    loop = asyncio.get_running_loop()
    now = loop.time()
    loop_time, loop.time = loop.time, lambda: now
    try:
        ticker = Ticker(1.0)
        assert ticker.advance() == 1.0
        now += 1.25
        assert ticker.advance() == 0.75
        now += 4.0
        assert ticker.advance() == pytest.approx(0.75)
        assert ticker.advance(0.5) == pytest.approx(2.25)
        ticker.restart()
        assert ticker.advance() == 1.0
    finally:
        loop.time = loop_time


def test_changes_are_reported_at_once_and_all_from_time_to_time():
    door, lamp = Quantity("door"), Quantity("lamp")
    reporter = ChangeReporter(10.0)
    both = [door.good(False), lamp.good(True)]
    assert reporter.select(both, 100.0) == both
    assert reporter.select(both, 101.0) == []
    assert reporter.select([door.good(True), lamp.good(True)], 102.0) == [door.good(True)]
    assert reporter.seconds_left(103.0) == 7.0
    assert reporter.select(both, 110.0) == both
    assert reporter.select([door.bad("line lost")], 111.0) == [door.bad("line lost")]


def test_totals_outlive_the_process_and_are_whole(tmp_path):
    file = tmp_path / "state" / "x.totals.json"
    totals = Totals(file)
    assert (totals.get("water"), totals.has_changed) == (0, False)
    assert totals.add("water", 3) == 3
    assert totals.add("water", 4) == 7
    totals.save()
    assert not totals.has_changed
    assert file.stat().st_mode & 0o777 == 0o600
    again = Totals(file)
    again.set("water", 1000)
    again.add("gas", 1)
    again.save()
    assert json.loads(file.read_text()) == {"water": 1000, "gas": 1}


def test_totals_that_cannot_be_read_for_a_while_are_neither_lost_nor_overwritten(tmp_path, caplog):
    file = tmp_path / "x.totals.json"
    file.write_text('{"water": 100}')
    aside = file.rename(tmp_path / "aside")
    file.mkdir()  # as good as EIO: it is there, and cannot be read
    totals = Totals(file)
    assert totals.add("water", 5) == 5
    totals.save()
    assert file.is_dir()
    assert "tried again" in caplog.text
    file.rmdir()
    aside.rename(file)
    totals.load()
    assert totals.get("water") == 105
    totals.save()
    assert json.loads(file.read_text()) == {"water": 105}


def test_damaged_totals_are_kept_aside_a_few_times(tmp_path):
    file = tmp_path / "x.totals.json"
    for number in range(5):
        file.write_text(f"damaged {number}")
        totals = Totals(file)
        totals.add("a", 1)
        totals.save()
    assert sorted(kept.read_text() for kept in tmp_path.glob("*.damaged*")) == [f"damaged {n}" for n in range(3)]


def test_names_that_are_used_twice_are_named():
    require_unique("units.name", ["a", "b"], "Rename one.")
    with pytest.raises(SettingsError, match=r"setting units.name = 'a': is used twice. Rename one."):
        require_unique("units.name", ["a", "b", "a", "b"], "Rename one.")


def test_what_is_counted_while_totals_are_being_saved_is_not_lost(tmp_path, monkeypatch):
    totals = Totals(tmp_path / "x.totals.json")
    totals.add("water", 3)
    sync = os.fsync

    def sync_slowly(fd):
        totals.add("water", 4)  # as by the event loop while a thread saves
        sync(fd)

    monkeypatch.setattr(os, "fsync", sync_slowly)
    totals.save()
    monkeypatch.setattr(os, "fsync", sync)
    assert (totals.get("water"), totals.has_changed) == (7, True)
    totals.save()
    assert Totals(tmp_path / "x.totals.json").get("water") == 7


def test_a_reading_that_has_changed_back_is_sent_once_it_is_forgotten():
    reporter, lamp, pump = ChangeReporter(60), Reading("lamp", True), Reading("pump", True)
    assert reporter.select([lamp, pump], 0.0) == [lamp, pump]
    reporter.forget(["lamp", "unknown"])
    assert reporter.select([lamp, pump], 1.0) == [lamp]
    assert reporter.select([lamp, pump], 2.0) == []
