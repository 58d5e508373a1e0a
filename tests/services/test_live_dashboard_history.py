"""The history of live_dashboard: three resolutions, bounded in bytes, there again after a restart."""

import contextlib
import sqlite3

import pytest

from device_bridge import Quality, Reading
from live_dashboard.board import Board, Bucket, BucketKey, Limits
from live_dashboard.history import History, KeptQuantity
from live_dashboard.history.database import TIERS, Database

from .test_live_dashboard_board import T0, Sender

MIB = 1 << 20
DAY = 86_400
T0_STEP = int(T0) // 900 * 900


def bucket(*values, worst=0):
    made = Bucket()
    for value in values:
        made.add(value, worst)
    return made


def kept_quantity(number):
    return KeptQuantity(number, "p", "s", 1.0, Reading(f"q{number}", 1.0))


@pytest.fixture
def history_of(tmp_path):
    def make(board, file="h.db", max_bytes=8 * MIB, days=31):
        return History(board, tmp_path / file if file else None, max_bytes, days)

    return make


async def test_a_series_is_mean_least_greatest_and_worst_quality(history_of):
    board = Board(Limits())
    history = history_of(board, None)
    await history.open(T0)
    gps = Sender(board)
    for second, value in enumerate((1.0, 3.0, 5.0)):
        gps.send(("a", value), at=T0_STEP + second)
    gps.send(Reading("a", None, "", T0_STEP + 12, Quality.BAD, "x"), at=T0_STEP + 12)
    gps.send(Reading("a", 9.0, "", T0_STEP + 22, Quality.UNCERTAIN, "x"), at=T0_STEP + 22)
    for _ in range(2):  # what is being filled and what is on disk look the same
        series = await history.series(1, T0_STEP, T0_STEP + 3600, T0_STEP + 3600)
        assert (series.step, series.times) == (10, [T0_STEP, T0_STEP + 10, T0_STEP + 20])
        assert (series.mean, series.low, series.high) == ([3.0, None, 9.0], [1.0, None, 9.0], [5.0, None, 9.0])
        assert series.worst == [0, 3, 1]
        await history.write(T0_STEP + 30)
    gps.send(("a", 7.0), at=T0_STEP + 9)
    series = await history.series(1, T0_STEP, T0_STEP + 3600, T0_STEP + 3600)
    assert (series.mean[0], series.high[0]) == (4.0, 7.0)
    await history.close(T0)


@pytest.mark.parametrize(("hours", "step", "points"), [(1, 10, 360), (24, 60, 1440), (24 * 30, 900, 2880)])
async def test_each_range_has_its_resolution(history_of, hours, step, points):
    board = Board(Limits())
    history = history_of(board, None)
    await history.open(T0)
    end = T0_STEP + 30 * DAY
    Sender(board).send(("a", 1.0), at=end)
    board.buckets.take()
    filled = {BucketKey(1, at): bucket(float(at)) for at in range(end - hours * 3600, end, max(step, 60))}
    history._database.write(filled, [], {}, [], end)
    series = await history.series(1, end - hours * 3600, end, end)
    assert series.step == step
    assert len(series.times) == min(points, len(filled))
    await history.close(end)


async def test_everything_is_there_again_after_a_restart(history_of):
    board = Board(Limits())
    history = history_of(board)
    await history.open(T0)
    gps = Sender(board)
    for number in (1, 2, 5):
        gps.send(("a", 1.5), ("b", "text"), at=T0 + number, number=number)
    await history.close(T0 + 6)

    again = Board(Limits())
    history = history_of(again)
    await history.open(T0)
    (source,) = again.sources.values()
    assert (source.name, source.publisher, source.silent) == ("gps", "p1", True)
    values = {one.name: (one.value, one.quality, one.time) for one in source.quantities.values()}
    assert values == {"a": (1.5, Quality.STALE, T0 + 5), "b": ("text", Quality.STALE, T0 + 5)}
    assert (source.account.received, source.account.missing) == (3, 2)
    assert [event.kind for event in again.events.since(-1)] == ["new", "gap"]
    assert (await history.series(1, T0 - 60, T0 + 60, T0 + 60)).mean == [1.5]
    gps.board = again
    gps.send(("a", 2.0), ("c", 1.0), at=T0 + 60, number=7)
    assert (source.account.missing, source.account.runs, source.silent) == (3, 1, False)
    assert sorted(again.quantities) == [1, 2, 3]
    await history.close(T0 + 61)


async def test_the_file_stays_within_its_bound_and_the_newest_is_kept(tmp_path):
    database, count, bound = Database(tmp_path / "h.db", MIB // 4, 31), 40, MIB // 4
    for hour in range(25):
        now = T0_STEP + hour * 3600
        buckets = {
            BucketKey(quantity, now - back): bucket(float(hour))
            for quantity in range(1, count + 1)
            for back in range(0, 3600, 300)
        }
        database.write(buckets, [kept_quantity(number) for number in range(1, count + 1)], {}, [], now)
        assert (tmp_path / "h.db").stat().st_size <= bound
    assert database.dropped == 0
    for tier in TIERS:
        rows = database.rows(count, tier, 0, now + 1)
        assert rows[-1][:3] == (now, 1, 24.0)
    assert database.rows(count, TIERS[1], 0, now + 1)[0][0] > now - 24 * 3600
    database.close()


async def test_a_full_disk_is_counted_and_stops_nothing(tmp_path, caplog):
    database = Database(tmp_path / "h.db", 16 * 4096, 31)
    for number in range(3):
        stretch = {BucketKey(quantity, T0_STEP + number * 10): bucket(1.0) for quantity in range(2000)}
        database.write(stretch, [], {}, [], T0_STEP)
    assert database.dropped == 6000
    assert caplog.text.count("the history cannot be written: database or disk is full") == 1
    database.close()


async def test_old_buckets_go_and_each_resolution_has_its_age(history_of):
    database = Database(None, 64 * MIB, 31)
    now = T0_STEP
    ages = (60, 2 * 3600, 4 * 3600, 3 * DAY, 20 * DAY, 40 * DAY)
    database.write({BucketKey(1, now - age): bucket(1.0) for age in ages}, [kept_quantity(1)], {}, [], now)
    kept = [[now - row[0] for row in database.rows(1, tier, 0, now + 1)] for tier in TIERS]
    assert kept == [[2 * 3600, 60], [4 * 3600, 2 * 3600, 60], [20 * DAY, 3 * DAY, 4 * 3600, 2 * 3600, 900]]
    database.close()


async def test_a_damaged_file_is_put_aside_and_begun_again(history_of, tmp_path):
    (tmp_path / "h.db").write_bytes(b"no database at all" * 1000)
    board = Board(Limits())
    history = history_of(board)
    await history.open(T0)
    Sender(board).send(("a", 1.0))
    await history.close(T0)
    assert (tmp_path / "h.damaged").read_bytes().startswith(b"no database")
    with contextlib.closing(sqlite3.connect(tmp_path / "h.db")) as database:
        assert database.execute("SELECT count(*) FROM series").fetchone() == (1,)


async def test_without_a_folder_to_write_in_it_goes_on_in_memory(history_of):
    board = Board(Limits())
    history = history_of(board, "no/such/folder/h.db")
    await history.open(T0)
    Sender(board).send(("a", 1.0))
    assert (await history.series(1, T0 - 60, T0 + 60, T0 + 60)).mean == [1.0]
    event = board.events.since(-1)[0]
    assert "goes on in memory" in event.text
    await history.close(T0)


async def test_a_forgotten_source_leaves_nothing(history_of, tmp_path):
    board = Board(Limits())
    history = history_of(board)
    await history.open(T0)
    Sender(board).send(("a", 1.0))
    await history.write(T0)
    await history.forget(board.sources[1])
    await history.close(T0)
    database = sqlite3.connect(tmp_path / "h.db")
    tables = ("series", "accounts", *(f"points_{tier.step_s}" for tier in TIERS))
    assert [database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables] == [0] * 5  # noqa: S608
    database.close()
