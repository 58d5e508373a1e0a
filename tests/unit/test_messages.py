"""Samples become messages: numbered, stamped, checked against what the device can mean."""

import math

import pytest

from device_bridge import OutboxSettings, Quality, Reading
from device_bridge.filters import Deadband, FilterChain
from device_bridge.messages import senml
from device_bridge.messages.clock import Clock
from device_bridge.messages.maker import MessageMaker
from device_bridge.outbox.durable import Outbox
from iofog_sdk import IoMessage


@pytest.fixture
def box():
    return Outbox(OutboxSettings())


@pytest.fixture
def maker(box):
    return MessageMaker("publisher", Clock(trusted=True), box)


def readings(box):
    return senml.decode(IoMessage.from_bytes(box.take().body).contentdata)


def test_messages_of_a_run_are_numbered_from_one(maker, box):
    for _ in range(3):
        maker.put([Reading("t", 1.0)])
    messages = [IoMessage.from_bytes(box.take().body) for _ in range(3)]
    assert [m.sequencenumber for m in messages] == [1, 2, 3]
    assert len({m.groupid for m in messages}) == 1
    assert {m.publisher for m in messages} == {"publisher"}
    assert {m.infotype for m in messages} == {"application/senml+json"}


def test_a_mark_of_the_service_stays(maker, box):
    maker.put([Reading("t", 500.0, quality=Quality.STALE, reason="silent"), Reading("other", math.inf)])
    first, second = readings(box)
    assert (first.quality, first.reason) == (Quality.STALE, "silent")
    assert (second.value, second.quality) == (None, Quality.BAD)


def test_a_time_of_the_device_stays(maker, box):
    maker.put([Reading("t", 1.0, time=1_700_000_000.5), Reading("t", 2.0, time=1_700_000_001.25)])
    assert [r.time for r in readings(box)] == [1_700_000_000.5, 1_700_000_001.25]


def test_what_a_filter_holds_back_is_counted(maker, box):
    maker.use("m", FilterChain([Deadband(absolute=1.0)]))
    for value in (20.0, 20.5, 22.0):
        maker.put([Reading("t", value)])
    assert [readings(box)[0].value for _ in range(2)] == [20.0, 22.0]
    assert box.take() is None
    assert box.dropped == {"filtered": 1}
    assert box.read == box.buffered + box.dropped.total() == 3


def test_what_cannot_be_encoded_is_counted(maker, box):
    maker.put([Reading("t", object())])
    assert box.dropped == {"not encodable": 1}
    assert box.read == 1


def test_a_negative_time_is_so_long_before_now(maker, box):
    maker.put([Reading("a", 1.0), Reading("b", 2.0, time=-2.5)])
    now, before = readings(box)
    assert now.time - before.time == pytest.approx(2.5, abs=1e-3)
