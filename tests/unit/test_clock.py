"""Time: right, marked while it is not, corrected when it becomes so, never backwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import OutboxSettings, Reading
from device_bridge.messages import senml
from device_bridge.messages.clock import Clock
from device_bridge.messages.maker import MessageMaker
from device_bridge.messages.time_correction import TimeCorrection
from device_bridge.outbox.durable import Outbox
from iofog_sdk import IoMessage

RIGHT = 1_795_448_768.0
WRONG = 1_600_000_000.0


class Board:
    """A board whose wall clock can be set, as NTP or a person does."""

    def __init__(self, wall, verified=True):
        self.wall, self.boot_s, self.verified = wall, 100.0, verified

    def clock(self, boot="this boot", **options):
        return Clock(
            wall=lambda: self.wall,
            since_boot=lambda: self.boot_s,
            verified=lambda: self.verified,
            boot=boot,
            **options,
        )

    def passes(self, seconds):
        self.wall += seconds
        self.boot_s += seconds


def test_a_right_clock_is_trusted_and_runs():
    board = Board(RIGHT)
    clock = board.clock()
    board.passes(5)
    assert (clock.trusted, clock.mark, clock.now()) == (True, "", RIGHT + 5)


@pytest.mark.parametrize(("wall", "verified"), [(WRONG, True), (RIGHT, False)], ids=["in the past", "no source"])
def test_a_clock_without_reason_to_trust_it_is_not(wall, verified):
    clock = Board(wall, verified).clock()
    assert not clock.trusted
    assert clock.mark
    assert Board(wall, verified).clock(trusted=True).trusted


def test_readings_before_the_clock_was_set_are_corrected_before_they_are_sent():
    board = Board(WRONG)
    clock, box = board.clock(), Outbox(OutboxSettings())
    maker = MessageMaker("p", clock, box)
    maker.put([Reading("t", 1.0), Reading("h", 2.0)])
    early = box.take()
    pack = IoMessage.from_bytes(TimeCorrection(clock).body(early)).contentdata
    assert not senml.clock_was_set(pack)
    board.passes(10)
    board.wall = RIGHT + 10
    clock.check()
    maker.put([Reading("t", 3.0)])
    late = box.take()
    for entry, when in ((early, RIGHT), (late, RIGHT + 10)):
        pack = IoMessage.from_bytes(TimeCorrection(clock).body(entry)).contentdata
        assert senml.clock_was_set(pack)
        assert {r.time for r in senml.decode(pack)} == {when}


def test_another_process_of_the_same_boot_can_correct_and_another_boot_cannot():
    board = Board(WRONG)
    mark = board.clock().mark
    board.passes(50)
    board.wall = RIGHT
    assert board.clock().correction_s(mark) == pytest.approx(RIGHT - 50 - WRONG)
    assert board.clock(boot="another").correction_s(mark) is None


@given(st.lists(st.one_of(st.floats(0, 100), st.floats(-1e6, 1e6).map(lambda step: (step,))), max_size=30))
def test_steps_of_the_system_clock_never_reorder(history):
    board = Board(RIGHT)
    clock = board.clock()
    last = clock.now()
    for event in history:
        if isinstance(event, tuple):
            board.wall += event[0]
        else:
            board.passes(event)
        clock.check()
        assert clock.now() >= last
        last = clock.now()


def test_a_step_forwards_is_followed():
    board = Board(RIGHT)
    clock = board.clock()
    board.wall += 3600
    clock.check()
    assert clock.now() == RIGHT + 3600
