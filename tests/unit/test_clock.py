"""Time: it follows the wall clock both ways, is marked while it is in doubt, and is corrected while it waits."""

import ast
import logging
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import device_bridge
from device_bridge import OutboxSettings, Reading
from device_bridge.clocks import Clocks, utc_text
from device_bridge.messages import senml
from device_bridge.messages.clock import SETTLING_S, Clock, is_in_doubt
from device_bridge.messages.maker import MessageMaker
from device_bridge.messages.time_correction import TimeCorrection
from device_bridge.outbox.durable import Outbox
from device_bridge.telemetry.logs import _HumanFormatter, _JsonFormatter
from iofog_sdk import IoMessage

RIGHT = 1_795_448_768.0
WRONG = 1_600_000_000.0
YEAR = 365 * 86_400.0


class Board:
    """A board whose wall clock can be set, as NTP or a person does; `true` is what the time is."""

    def __init__(self, wall=RIGHT, verified=True, boot="this boot"):
        self.wall, self.true, self.boot_s, self.verified = wall, RIGHT, 100.0, verified
        self.clocks = Clocks(wall=lambda: self.wall, since_boot=lambda: self.boot_s, boot=boot)

    def clock(self, **options):
        return Clock(clocks=self.clocks, verified=lambda: self.verified, **options)

    def passes(self, seconds, drift=0.0):
        self.wall += seconds * (1 + drift)
        self.boot_s += seconds * (1 + drift)
        self.true += seconds


class Sender:
    """A maker, its outbox, and what is sent for each message."""

    def __init__(self, board, **options):
        self.clock, self.box = board.clock(**options), Outbox(OutboxSettings(), clocks=board.clocks)
        self.maker = MessageMaker("p", self.clock, self.box)
        self._correction = TimeCorrection(self.clock)

    def read(self, time=0.0):
        self.maker.put([Reading("t", 1.0, time=time)])

    def send(self):
        """Time of the oldest reading that waits, and whether it is said to be right."""
        pack = IoMessage.from_bytes(self._correction.body(self.box.take())).contentdata
        self.box.acknowledge()
        return senml.decode(pack)[0].time, senml.clock_was_set(pack)


def test_a_right_clock_is_trusted_and_runs():
    board = Board()
    clock = board.clock()
    board.passes(5)
    assert (clock.trusted, clock.now()) == (True, RIGHT + 5)
    assert not is_in_doubt(clock.stamp()[1])


@pytest.mark.parametrize(("wall", "verified"), [(WRONG, True), (RIGHT, False)], ids=["in the past", "no source"])
def test_a_clock_without_reason_to_trust_it_is_not(wall, verified):
    clock = Board(wall, verified).clock()
    assert not clock.trusted
    assert is_in_doubt(clock.stamp()[1])
    assert Board(wall, verified).clock(trusted=True).trusted


def test_readings_before_the_clock_was_set_are_corrected_before_they_are_sent():
    board = Board(WRONG)
    sender = Sender(board)
    sender.read()
    sender.read()
    assert sender.send() == (WRONG, False)
    board.passes(10)
    board.wall = RIGHT + 10
    sender.clock.check()
    sender.read()
    assert sender.send() == (RIGHT, True)
    assert sender.send() == (RIGHT + 10, True)


def test_another_process_of_the_same_boot_can_correct_and_another_boot_cannot():
    board = Board(WRONG)
    mark = board.clock().stamp()[1]
    board.passes(50)
    board.wall = RIGHT
    assert board.clock().correction_s(mark, 100.0) == pytest.approx(RIGHT - 50 - WRONG)
    assert Board(RIGHT, boot="another").clock().correction_s(mark, 100.0) is None


@pytest.mark.parametrize("step", [YEAR, -YEAR, 300.0, -300.0])
def test_a_clock_that_is_wrong_for_some_seconds_never_goes_out_as_right(step):
    board = Board()
    sender = Sender(board)
    sender.read()
    board.passes(1)
    board.wall += step
    for _ in range(7):
        sender.read()
        board.passes(1)
    assert sender.send() == (RIGHT, True), "what was read before is not changed by it"
    assert sender.send() == (RIGHT + 1 + step, False)
    board.wall -= step
    sender.read()
    for second in (2, 3, 4, 5, 6, 7, 8):
        assert sender.send() == (RIGHT + second, True), "right again at once, and what waits is corrected"


@pytest.mark.parametrize("step", [YEAR, -YEAR, 300.0, -300.0])
def test_a_clock_that_is_set_right_is_trusted_within_a_minute_and_corrects_what_waits(step):
    board = Board(RIGHT + step)
    sender = Sender(board, trusted=True)
    sender.read()
    board.passes(30)
    board.wall = board.true
    board.passes(1)
    sender.read()
    assert not sender.clock.trusted
    board.passes(SETTLING_S)
    sender.read()
    assert sender.clock.trusted
    assert [sender.send() for _ in range(3)] == [(RIGHT, True), (RIGHT + 31, True), (RIGHT + 31 + SETTLING_S, True)]


def test_a_crystal_that_is_stepped_daily_is_followed_and_what_waits_is_not_moved():
    board = Board()
    sender = Sender(board)
    for day in range(30):
        for _ in range(24):
            board.passes(3600, drift=50e-6)
            sender.clock.check()
            assert abs(sender.clock.now() - board.true) < 5
            assert sender.clock.trusted
        board.wall = board.true
        if day == 20:
            sender.read()
            then = board.true
    time, is_right = sender.send()
    assert is_right
    assert abs(time - then) < 5


def test_leap_seconds_are_followed():
    board = Board()
    clock = board.clock()
    for _ in range(3):
        board.passes(YEAR)
        board.wall -= 1
        board.true -= 1
        board.passes(10)
        assert clock.now() == pytest.approx(board.true)
        assert clock.trusted


def test_times_that_a_device_has_given_are_not_corrected():
    board = Board(WRONG)
    sender = Sender(board)
    sender.read(time=RIGHT - 5)
    assert sender.send() == (RIGHT - 5, True)
    sender.read(time=RIGHT - 5)
    board.wall = RIGHT
    sender.clock.check()
    assert sender.send() == (RIGHT - 5, True)


def test_marks_of_the_version_before_are_understood():
    clock = Board().clock()
    assert is_in_doubt("0f7a9a32-93a1:1790000000.5")
    for mark in ("0f7a9a32-93a1:1790000000.5", "x", ":", "a:b:c", "a:b!", "!", "?", "\ufffd"):
        assert clock.correction_s(mark, 0.0) in (None, 0.0)


events = st.one_of(
    st.tuples(st.just("passes"), st.floats(0.1, 100)),
    st.tuples(st.just("step"), st.sampled_from([-YEAR, -3600.0, -30.0, -1.0, 0.5, 10.0, 86_400.0, YEAR])),
    st.tuples(st.just("right"), st.just(0.0)),
    st.tuples(st.sampled_from(["read", "send"]), st.just(0.0)),
)


@given(st.lists(events, max_size=60))
def test_no_time_is_wrong_unsaid_a_minute_after_the_clock_is_right_again(history):
    board = Board()
    sender, taken = Sender(board, trusted=True), []
    for kind, seconds in history:
        if kind == "passes":
            board.passes(seconds)
        elif kind == "step":
            board.wall += seconds
        elif kind == "right":
            board.wall = board.true
        elif kind == "read":
            sender.read()
            taken.append(board.true)
        elif taken:
            sender.send()
            taken.pop(0)
        sender.clock.check()
    board.wall = board.true
    sender.clock.check()
    board.passes(SETTLING_S + 1)
    sender.read()
    taken.append(board.true)
    for true in taken:
        time, is_right = sender.send()
        assert is_right
        assert abs(time - true) < 1 + 200e-6 * (board.true - true) + 19


def test_a_run_goes_on_with_another_group_when_its_numbers_end(monkeypatch):
    monkeypatch.setattr("device_bridge.messages.maker.INT32_MAX", 3)
    sender = Sender(Board())
    for _ in range(7):
        sender.read()
    messages = []
    while (entry := sender.box.take()) is not None:
        messages.append(IoMessage.from_bytes(entry.body))
    assert [message.sequencenumber for message in messages] == [1, 2, 3, 1, 2, 3, 1]
    assert [message.groupid == messages[3].groupid for message in messages] == [False] * 3 + [True] * 3 + [False]
    assert {message.groupid for message in messages} == sender.maker.groups
    assert sender.maker.made == 7
    assert not sender.box.dropped


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1970-01-01T00:00:00"), (2**31, "2038-01-19T03:14:08"), (2**32 + 0.9, "2106-02-07T06:28:16")],
)
def test_times_are_written_beyond_2038_where_the_c_library_ends_there(monkeypatch, seconds, text):
    def gmtime(_):
        raise OverflowError("timestamp out of range for platform time_t")

    monkeypatch.setattr("time.gmtime", gmtime)
    assert utc_text(seconds) == text


def test_a_log_line_is_written_beyond_2038(monkeypatch):
    def gmtime(_):
        raise OverflowError("timestamp out of range for platform time_t")

    monkeypatch.setattr("time.gmtime", gmtime)
    monkeypatch.setattr(logging.Formatter, "converter", staticmethod(gmtime))
    record = logging.LogRecord("x", logging.INFO, "x", 1, "text", None, None)
    record.created, record.msecs = 2**31 + 0.25, 250
    assert msgspec.json.decode(_JsonFormatter().format(record))["time"] == "2038-01-19T03:14:08.250Z"
    assert _HumanFormatter().format(record) == "03:14:08 INFO    x: text"


def test_nothing_a_service_does_needs_the_c_library_to_know_its_time():
    """Where that has 32 bits, as on 32-bit ARM of Debian 12, these raise from 2038 on."""
    raising = {"gmtime", "localtime", "ctime", "asctime", "strftime", "fromtimestamp", "utcfromtimestamp"}
    raising |= {"now", "utcnow", "today"}
    root = Path(device_bridge.__file__).parents[2]
    folders = [root / "services", *(root / "common" / name for name in ("device_bridge", "iofog_sdk"))]
    found = Counter(
        f"{path.relative_to(root)}: {node.func.value.id}.{node.func.attr}"
        for folder in folders
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if isinstance(node.func.value, ast.Name) and node.func.value.id in ("time", "datetime", "date")
        if node.func.attr in raising
    )
    local_time = "services/gpiozero_device/classes/makers.py: datetime.now"  # nobody else knows of time zones
    assert found == {local_time: 1}


def test_one_module_reads_the_clocks():
    folder = Path(device_bridge.__file__).parent
    reading = {
        f"{path.relative_to(folder)}: time.{node.attr}"
        for path in folder.rglob("*.py")
        if path.name not in ("clocks.py", "guard_process.py")  # that one is a process of its own, with few modules
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time"
        if node.attr not in ("sleep", "process_time", "thread_time")
    }
    assert not reading, "take it from clocks.py, which says what each is for"
