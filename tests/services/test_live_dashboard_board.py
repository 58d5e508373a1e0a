"""What live_dashboard knows, without I/O: readings, accounting, silence, events, limits, frames."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import CommandSpec, Quality, Reading
from device_bridge.messages import ANNOUNCEMENT_TYPE, Announcement, senml
from iofog_sdk import IoMessage
from live_dashboard.board import Board, Kept, Limits, changes, read_message, snapshot

T0 = 1_795_000_000.0
RESULT = {"command": "relay", "id": "7", "ok": True, "detail": "done", "took_s": 0.1}


class Sender:
    """A microservice: numbers its messages, in groups."""

    def __init__(self, board, name="gps", publisher="p1"):
        self.board, self.name, self.publisher = board, name, publisher
        self.group, self.number = "run-1", 0

    def message(self, content, infotype=senml.INFO_TYPE, number=None):
        if number is None:
            self.number += 1
            number = self.number
        return IoMessage(
            groupid=self.group,
            sequencenumber=number,
            publisher=self.publisher,
            infotype=infotype,
            contentdata=content,
        )

    def send(self, *readings, at=T0, number=None):
        """Readings as (name, value) or whole; whether they were new."""
        whole = [one if isinstance(one, Reading) else Reading(*one, time=at) for one in readings]
        return self.take(self.message(senml.encode(whole, f"{self.name}:"), number=number), at)

    def announce(self, at=T0, **members):
        told = Announcement(service="gps_receiver", source=self.name, **members)
        self.take(self.message(msgspec.json.encode(told), ANNOUNCEMENT_TYPE), at)

    def take(self, message, at=T0):
        return self.board.take(read_message(message, at), at)


@pytest.fixture
def board():
    return Board(Limits(sources=3, quantities=5, source_timeout_s=15))


@pytest.fixture
def gps(board):
    return Sender(board)


def kinds(board):
    return [event.kind for event in board.events.since(-1)]


def the_source(board):
    (source,) = board.sources.values()
    return source


def bad(name, reason="unplugged"):
    return Reading(name, None, "", T0, Quality.BAD, reason)


def test_a_reading_is_shown_with_all_that_it_says(board, gps):
    gps.send(Reading("speed", 5.5, "m/s", T0 - 2, Quality.UNCERTAIN, "too fast"))
    speed = the_source(board).quantities["speed"]
    assert (speed.value, speed.unit, speed.quality, speed.reason) == (5.5, "m/s", Quality.UNCERTAIN, "too fast")
    assert speed.time == T0 - 2


@pytest.mark.parametrize(
    ("reading", "time"),
    [
        (Reading("a", 1.0, time=T0 + 3600), T0),  # a clock that is ahead makes no reading of the future
        (Reading("a", 1.0, time=T0 - 3600), T0 - 3600),
    ],
)
def test_no_reading_is_younger_than_its_arrival(board, gps, reading, time):
    gps.send(reading)
    assert the_source(board).quantities["a"].time == time


def test_a_pack_from_a_clock_that_was_not_set_counts_from_its_arrival(board, gps):
    pack = senml.encode([Reading("a", 1.0, time=5.0)], "gps:", clock_set=False)
    gps.take(gps.message(pack), T0)
    assert the_source(board).quantities["a"].time == T0


def test_gaps_duplicates_and_late_messages_are_counted_and_reported(board, gps):
    for number in (1, 2, 5, 5, 4):
        gps.send(("a", float(number)), number=number)
    account = the_source(board).account
    assert (account.received, account.missing, account.duplicates, account.late) == (4, 1, 1, 1)
    assert kinds(board) == ["new", "gap", "duplicate", "late"] or kinds(board) == ["gap", "new", "duplicate", "late"]
    texts = {event.kind: event.text for event in board.events.since(-1)}
    assert texts["gap"] == "messages 3 to 4 missing"


def test_a_message_that_comes_twice_changes_nothing(board, gps):
    assert gps.send(("a", 1.0), number=1)
    revision = the_source(board).quantities["a"].revision
    assert not gps.send(("a", 2.0), number=1)
    quantity = the_source(board).quantities["a"]
    assert (quantity.value, quantity.revision) == (1.0, revision)


def test_parts_of_a_message_that_a_link_has_split_are_no_duplicates(board, gps):
    assert gps.send(("a", 1.0), number=1)
    assert gps.send(("b", 2.0), number=1)
    assert not gps.send(("b", 2.0), number=1)
    account = the_source(board).account
    assert (account.received, account.duplicates, account.missing) == (1, 1, 0)


def test_a_new_run_counts_from_one_and_misses_what_it_began_with(board, gps):
    gps.send(("a", 1.0), number=40)
    gps.group = "run-2"
    gps.send(("a", 2.0), number=3)
    account = the_source(board).account
    assert (account.runs, account.missing) == (2, 2)
    assert "restart" in kinds(board)
    gps.group = "run-1"  # what was still on its way
    gps.send(("a", 2.0), number=41)
    assert (account.runs, account.missing) == (2, 2)


def test_messages_that_passed_while_the_dashboard_was_away_are_missing(board, gps):
    board.restore_account("p1", Kept(received=10, runs=1, group="run-1", highest=10))
    gps.send(("a", 1.0), number=13)
    account = the_source(board).account
    assert (account.received, account.missing, account.runs) == (11, 2, 1)


def test_results_and_announcements_have_numbers_too(board, gps):
    gps.send(("a", 1.0))
    gps.take(gps.message(msgspec.json.encode(RESULT), "application/json"))
    gps.announce(state="reading")
    gps.send(("a", 2.0))
    assert (the_source(board).account.received, the_source(board).account.missing) == (4, 0)


def test_a_result_shows_what_was_read_back(board, gps):
    gps.send(("relay", False))
    pack = msgspec.Raw(senml.encode([Reading("relay", True, time=T0 + 1)], "gps:"))
    arrival = read_message(gps.message(msgspec.json.encode(RESULT | {"readings": pack}), "application/json"), T0 + 1)
    assert board.take(arrival, T0 + 1)
    assert (arrival.result.id, arrival.result.ok) == ("7", True)
    assert the_source(board).quantities["relay"].value is True


def test_a_device_is_gone_when_all_is_bad_and_back_with_the_first_good_value(board, gps):
    gps.send(("a", 1.0), ("b", 1.0))
    gps.send(bad("a"))
    assert not the_source(board).failing
    gps.send(bad("a"), bad("b"))
    gps.send(bad("a"), bad("b"))
    assert the_source(board).failing == "unplugged"
    gps.send(("a", 2.0))
    assert not the_source(board).failing
    assert kinds(board) == ["new", "gone", "back"]


def test_an_announcement_tells_commands_failures_and_refused_settings(board, gps):
    gps.announce(state="reading", commands=(CommandSpec("tare"),))
    gps.announce(state="failed", reason="unplugged", refused="setting x: wrong")
    gps.announce(state="failed", reason="unplugged", refused="setting x: wrong")
    gps.announce(state="failed", reason="unplugged")
    source = the_source(board)
    assert (source.failing, source.announcement.refused) == ("unplugged", "")
    assert kinds(board) == ["new", "refused", "gone", "accepted"]
    gps.announce(state="open")  # without a reading nothing is known to be well
    assert source.failing == "unplugged"


def test_an_announcement_is_known_by_its_content_where_a_link_carries_no_type(board, gps):
    content = msgspec.json.encode(Announcement(service="s", source="gps", state="reading"))
    gps.take(gps.message(content, "application/json"))
    assert the_source(board).announcement.service == "s"


def test_silence_is_reported_once_and_all_values_are_stale(board, gps):
    for second in range(3):
        gps.send(("a", 1.0), ("b", 2.0), at=T0 + second)
    board.tick(T0 + 16)
    assert kinds(board) == ["new"]
    for second in (18, 19):
        board.tick(T0 + second)
    source = the_source(board)
    assert source.silent
    assert {one.quality for one in source.quantities.values()} == {Quality.STALE}
    assert kinds(board) == ["new", "silent"]
    gps.send(("a", 1.0), at=T0 + 20)
    assert not source.silent
    assert source.quantities["a"].quality is Quality.GOOD
    assert source.quantities["b"].quality is Quality.STALE
    assert kinds(board) == ["new", "silent", "heard"]


def test_a_source_that_reports_seldom_has_three_of_its_intervals(board, gps):
    for minute in range(3):
        gps.send(("a", 1.0), at=T0 + 60 * minute)
    board.tick(T0 + 120 + 179)
    assert not the_source(board).silent
    board.tick(T0 + 120 + 181)
    assert the_source(board).silent


def test_one_quantity_can_be_overdue_in_a_source_that_goes_on(board, gps):
    for second in range(40):
        gps.send(("a", 1.0), *([("b", 1.0)] if second < 5 else []), at=T0 + second)
        board.tick(T0 + second)
    quantities = the_source(board).quantities
    assert (quantities["a"].quality, quantities["b"].quality) == (Quality.GOOD, Quality.STALE)


def test_the_number_of_sources_and_quantities_is_limited(board):
    for number in range(10):
        Sender(board, f"s{number}", f"p{number}").send(("a", 1.0))
    assert [one.name for one in board.sources.values()] == ["s0", "s1", "s2"]
    one = Sender(board, "s0", "p0")
    one.number = 1
    one.send(*((f"q{number}", 1.0) for number in range(10)))
    assert len(board.quantities) == 5
    assert (board.refused["sources"], board.refused["quantities"]) == (7, 8)
    assert "limit" in kinds(board)
    assert len(board.accounts) == 3


def test_two_publishers_with_one_name_are_two_sources(board):
    Sender(board, "gps", "p1").send(("a", 1.0))
    Sender(board, "gps", "p2").send(("a", 2.0))
    assert [one.quantities["a"].value for one in board.sources.values()] == [1.0, 2.0]


def test_one_publisher_with_many_streams_has_an_account_for_each():
    board = Board(Limits(20, 20, 15.0))
    streams = [Sender(board, f"bridge{number}", "gateway") for number in range(8)]
    for number, stream in enumerate(streams):
        stream.group = f"run-{number}"
    for _ in range(3):
        for stream in streams:
            stream.send(("a", 1.0))
    assert kinds(board) == ["new"] * 8, "neither a restart nor a gap"
    streams[3].number += 2
    streams[3].send(("a", 1.0))
    streams[5].group, streams[5].number = "another run", 0
    streams[5].send(("a", 1.0))
    missing = {source.name: source.account.missing for source in board.sources.values()}
    assert missing == {f"bridge{number}": 2 if number == 3 else 0 for number in range(8)}
    assert kinds(board)[8:] == ["gap", "restart"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"\xff\xfe",
        b"[" * 100_000,
        b"{}",
        b'{"command": 5, "ok": true}',
        b'[{"n": "' + b"x" * 201 + b'", "v": 1}]',
        b'[{"bn": "a:", "n": "b", "v": 1, "quality": "superb"}]',
        b'{"service": "s", "source": "' + b"x" * 300 + b'"}',
        b'{"service": "' + b"x" * 40_000 + b'"}',
    ],
)
def test_content_that_cannot_be_read_is_an_error(content):
    with pytest.raises(ValueError):  # noqa: PT011 - the texts differ, what matters is that it is no other
        read_message(IoMessage(contentdata=content), T0)


@pytest.mark.parametrize(
    ("record", "value", "quality"),
    [
        (b'"v": 123456789012345678901', 123456789012345678901.0, Quality.GOOD),
        (b'"vs": "' + b"x" * 5000 + b'"', "x" * 200, Quality.GOOD),
        (b'"vb": true', True, Quality.GOOD),
    ],
)
def test_values_are_as_a_page_can_show_them(board, gps, record, value, quality):
    gps.take(gps.message(b'[{"bn": "gps:", "n": "a", ' + record + b"}]"))
    quantity = the_source(board).quantities["a"]
    assert (quantity.value, quantity.quality) == (value, quality)


names = st.text("abc/_", min_size=1, max_size=5)
values = st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers(-(2**60), 2**60) | st.text(max_size=5)
taken = st.builds(
    Reading, names, values, st.sampled_from(["", "Cel", "hPa"]), st.floats(1e9, 2e9), st.sampled_from(Quality)
)


@given(st.lists(taken, min_size=1, max_size=5), st.sampled_from(["gps:", "a/b:", ":", ""]), st.booleans())
def test_the_short_way_of_reading_a_pack_gives_what_the_long_one_gives(readings, base_name, clock_set):
    pack = senml.encode(readings, base_name, clock_set=clock_set)
    found = read_message(IoMessage(contentdata=pack), T0).samples
    records = msgspec.json.decode(pack)
    records[0]["x-unknown"] = 1  # with a field that the short way does not know
    assert read_message(IoMessage(contentdata=msgspec.json.encode(records)), T0).samples == found


@given(st.binary(max_size=200) | st.sampled_from("[{").flatmap(lambda first: st.text(max_size=50).map(first.__add__)))
def test_whatever_comes_is_read_or_refused(content):
    data = content.encode(errors="replace") if isinstance(content, str) else content
    board = Board(Limits())
    try:
        arrival = read_message(IoMessage(groupid="g", sequencenumber=1, contentdata=data), T0)
    except ValueError:
        return
    board.take(arrival, T0)


@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from("ab")), max_size=60))
def test_the_account_is_right_whatever_the_order(numbers):
    board = Board(Limits())
    gps, seen = Sender(board), set()
    for number, part in numbers:
        assert gps.send((part, 1.0), number=number) == ((number, part) not in seen)
        seen.add((number, part))
    if not seen:
        return
    known = {number for number, _ in seen}
    first = numbers[0][0]
    account = the_source(board).account
    assert account.received == len(known)
    assert account.missing == len(set(range(first, max(known) + 1)) - known)
    assert account.duplicates == len(numbers) - len(seen)


def test_a_frame_holds_what_has_changed_and_no_more(board, gps):
    other = Sender(board, "other", "p2")
    gps.send(("a", 1.0))
    other.send(("b", 1.0))
    whole = snapshot(board, T0)
    assert [one.name for one in whole.sources] == ["gps", "other"]
    gps.send(("a", 2.0), at=T0 + 1)
    frame = changes(board, whole.revision, T0 + 1, accounts=False)
    a = board.sources[1].quantities["a"]
    assert [msgspec.structs.astuple(row) for row in frame.readings] == [(a.id, 2.0, 0, T0 + 1, "")]
    assert (frame.sources, frame.accounts, frame.events) == ([], [], [])
    nothing = changes(board, frame.revision, T0 + 2, accounts=True)
    assert (nothing.readings, nothing.sources) == ([], [])
    assert len(nothing.accounts) == 2
    assert msgspec.json.decode(msgspec.json.encode(frame))["readings"] == [[a.id, 2.0, 0, T0 + 1, ""]]


def test_a_forgotten_source_is_reported_by_frames(board, gps):
    gps.send(("a", 1.0))
    revision = board.revision
    board.forget(the_source(board))
    assert changes(board, revision, T0, accounts=False).forgotten == [1]
    assert not board.quantities
    assert not board.accounts


def test_the_same_event_again_is_counted_not_repeated(board, gps):
    for number in range(1, 1000, 2):
        gps.send(("a", 1.0), at=T0 + number / 100, number=number)
    gaps = [event for event in board.events.since(-1) if event.kind == "gap"]
    assert len(gaps) == 1
    assert gaps[0].count == 499


def test_the_log_of_events_is_bounded(board, gps):
    for number in range(2000):
        board.add_event("page", f"s{number}", "x", T0)
    assert len(board.events) == 500


def test_a_clock_that_goes_back_stops_nothing_and_a_late_message_is_not_shown(board, gps):
    gps.send(("a", 1.0), at=T0)
    gps.send(Reading("a", 2.0, "", T0 - 3600))  # the sender's clock was set right
    gps.send(Reading("a", 3.0, "", T0 - 3599))
    quantity = the_source(board).quantities["a"]
    assert (quantity.value, quantity.time) == (3.0, T0 - 3599)
    gps.number += 1
    gps.send(Reading("a", 5.0, "", T0 - 3590))
    gps.send(Reading("a", 4.0, "", T0 - 3595), number=gps.number - 1)
    assert (quantity.value, the_source(board).account.late) == (5.0, 1)
    assert board.buckets.take()[1, int(T0 - 3600) // 10 * 10].count == 3


def test_an_outage_is_no_interval(board, gps):
    for second in (0, 1, 2, 602, 603, 604):
        gps.send(("a", 1.0), at=T0 + second)
    board.tick(T0 + 604 + 16)
    assert the_source(board).silent


def test_the_last_minutes_have_a_point_a_second_and_an_end(board, gps):
    for step in range(200):
        gps.send(("a", float(step)), at=T0 + step / 2)
    gps.send(Reading("a", None, "", T0 + 200, Quality.BAD, "gone"), at=T0 + 200)
    (view,) = snapshot(board, T0).sources[0].quantities
    assert len(view.trail) == 40
    assert view.trail[-2:] == [(T0 + 99, 199.0), (T0 + 200, None)]
    steps = [later[0] - earlier[0] for earlier, later in zip(view.trail, view.trail[1:], strict=False)]
    assert min(steps) >= 1.0


def test_positions_make_a_track(board, gps):
    for second in range(0, 20, 2):
        position = (Reading("lat", 53.5 + second / 100, "lat", T0 + second), Reading("lon", 10.0, "lon", T0 + second))
        gps.send(*position, at=T0 + second)
    gps.send(Reading("lat", 91.0, "lat", T0 + 30), Reading("lon", 10.0, "lon", T0 + 30), at=T0 + 30)
    gps.send(bad("lat"), bad("lon"))
    view = snapshot(board, T0).sources[0]
    assert len(view.track) == 10
    assert view.position is not None
