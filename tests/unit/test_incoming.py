"""Messages for a device: what is kept, what is left out, and that all are accounted for."""

import pytest

from device_bridge import Forwarded, Quality, Reading
from device_bridge.filters import FilterChain, MovingAverage
from device_bridge.messages import senml
from device_bridge.messages.clock import Clock
from device_bridge.messages.maker import MessageMaker
from device_bridge.outbox.delivery import Delivery
from device_bridge.outbox.durable import Outbox
from device_bridge.outbox.inbound import Inbound, is_command
from device_bridge.runtime.commands import CommandRunner
from device_bridge.service_settings import CommandedSettings, OutboxSettings
from iofog_sdk import Address, IoMessage, MessageError, Receipt


def message(number=1, **more):
    told = {"id": f"m{number}", "groupid": "other", "sequencenumber": number, "publisher": "gps", "contentdata": b"x"}
    return IoMessage(**(told | more))


def incoming(folder=None, **settings):
    return Inbound(OutboxSettings(**settings), folder, "bridge", {"run"}, outgoing=Outbox(OutboxSettings()))


async def test_messages_are_kept_in_order_and_counted_one_by_one():
    box = incoming()
    for number in range(1, 4):
        await box.accept(message(number))
    assert [IoMessage.from_bytes(box.take().body).sequencenumber for _ in range(3)] == [1, 2, 3]
    assert (box.read, box.buffered) == (3, 3)


async def test_own_messages_and_those_that_come_again_are_left_out():
    box = incoming()
    for each in (message(1), message(1), message(2, publisher="bridge"), message(3, groupid="run")):
        await box.accept(each)
    for number in range(10, 2000):
        await box.accept(message(number))
    assert box.ignored == {"again": 1, "own": 2}
    assert box.read == 1 + 1990
    await box.accept(message(0, id="", publisher=""))
    await box.accept(message(0, id="", publisher=""))
    assert box.read == 1993  # without an id nobody can tell


async def test_what_cannot_be_kept_is_counted():
    box = incoming()
    await box.accept(message(1, tag="x" * 70_000))
    assert (box.read, box.dropped["not encodable"], box.buffered) == (1, 1, 0)


async def test_a_service_that_reads_at_once_gets_what_comes_behind_what_has_waited():
    def read(message):
        if message.sequencenumber == 4:
            raise RuntimeError("a fault of the service")
        taken.append(message.sequencenumber)

    box, taken = incoming(), []
    await box.accept(message(1))
    box.reader = read
    await box.accept(message(2))
    assert not taken
    for _ in range(2):
        taken.append(IoMessage.from_bytes(box.take().body).sequencenumber)
        box.acknowledge()
    for each in (message(3), message(3), message(4), message(5), message(6, publisher="bridge")):
        await box.accept(each)
    assert taken == [1, 2, 3, 5]
    assert (box.read, box.delivered, box.dropped, box.buffered) == (5, 4, {"not sendable": 1}, 0)
    assert box.ignored == {"again": 1, "own": 1}


async def test_they_outlive_the_process(tmp_path):
    box = incoming(tmp_path / "x", durability="always")
    await box.open()
    await box.accept(message(1))
    await box.close()
    again = incoming(tmp_path / "x", durability="always")
    await again.open()
    await again.wait_unsent()
    assert IoMessage.from_bytes(again.take().body).sequencenumber == 1
    again.acknowledge()
    await again.wait_empty()
    await again.close()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"command":"tare"}', True),
        (b' {"command":"tare","id":"1"}', True),
        (b'{"command":"tare","ok":true}', False),  # a result
        (b'{"command":3}', False),
        (b"[]", False),
        (b"{", False),
        (b"", False),
        (b'{"command":"\xff"}', False),
    ],
)
def test_a_command_is_distinguished_from_its_result(content, expected):
    assert is_command(message(contentdata=content)) is expected


class Way:
    """Takes messages at once; those of some size never."""

    connected = True

    def __init__(self):
        self.posted = []

    def post(self, body, done):
        self.posted.append(body)
        too_large = IoMessage.from_bytes(body).contentdata == b"large"
        done(MessageError("frame", "too large") if too_large else Receipt("r", 0))

    async def wait_connected(self):
        return None

    async def wait_for_room(self):
        return None


async def test_what_can_never_be_sent_is_given_up_and_the_rest_goes_on():
    box, way = Outbox(OutboxSettings(durability="memory")), Way()
    for content in (b"1", b"large", b"2"):
        box.put(message(contentdata=content).to_bytes(), 1)
    delivery = Delivery(box, way, lambda entry: entry.body)
    delivery._send()
    await box.wait_empty()
    assert (box.read, box.delivered, box.buffered) == (3, 2, 0)
    assert box.dropped == {"not sendable": 1}
    assert len(way.posted) == 3


def test_what_is_passed_on_keeps_its_content_and_says_where_it_has_been():
    box = Outbox(OutboxSettings(durability="memory"))
    maker = MessageMaker("uuid", Clock(trusted=True), box)
    maker.use("bridge", FilterChain(()))
    maker.put(Forwarded(content=b"\xff", infotype="image/jpeg", infoformat="binary", tag="via:a"))
    maker.put(Forwarded(content=[Reading("level", 7, "l")], tag="via:a"))
    maker.put(Forwarded(content=b"x", infotype="x" * 300))
    maker.put([Reading("own", 1)])
    found = [IoMessage.from_bytes(box.take().body) for _ in range(3)]
    assert [(m.sequencenumber, m.infotype, m.tag) for m in found] == [
        (1, "image/jpeg", "via:a"),
        (2, senml.INFO_TYPE, "via:a"),
        (3, senml.INFO_TYPE, ""),
    ]
    assert found[0].contentdata == b"\xff"
    (reading,) = senml.decode(found[1].contentdata)
    assert (reading.name, reading.value, reading.quality) == ("bridge:level", 7, Quality.GOOD)
    assert (box.read, box.dropped["not encodable"]) == (4, 1)


def test_many_kinds_of_messages_need_no_more_memory():
    box = Outbox(OutboxSettings(durability="memory"))
    maker = MessageMaker("uuid", Clock(trusted=True), box)
    for number in range(1000):
        maker.put(Forwarded(content=b"x", infotype="a/b", infoformat="binary", tag=f"for:m{number}"))
    assert len(maker._templates) <= 64
    assert maker.made == 1000


async def test_what_is_refused_on_the_other_side_is_dropped_and_the_rest_is_delivered():
    box = incoming()
    for number in range(1, 4):
        await box.accept(message(number))
    while box.take():
        pass
    box.acknowledge()
    box.give_up("refused")
    box.acknowledge()
    box.acknowledge()
    assert (box.read, box.delivered, box.buffered, dict(box.dropped)) == (3, 2, 0, {"refused": 1})


async def test_a_command_says_which_bridges_it_has_been_through():
    done = []

    async def execute(command):
        raise AssertionError

    runner = CommandRunner(execute, lambda *told: done.append(told), CommandedSettings())
    runner.take(
        message(1, contentdata=b'{"command":"a","value":1,"id":"c"}', tag=Address("x", ("b1", "b2")).tag()), ""
    )
    runner.take(message(2, contentdata=b'{"command":"b"}'), "")
    runner.take(message(3, contentdata=b"{}", tag="via:b3"), "")
    assert [(w.command.name, w.command.id, w.command.via) for w in runner._queue] == [
        ("a", "c", ("b1", "b2")),
        ("b", "m2", ()),
    ]
    assert runner._queue[0].command.parameters == {"value": 1}
    assert [result.ok for _, result, _ in done] == [False]


def test_a_number_that_no_filter_can_calculate_with_is_bad_and_stops_nothing():
    box = Outbox(OutboxSettings(durability="memory"))
    maker = MessageMaker("uuid", Clock(trusted=True), box)
    maker.use("bridge", FilterChain([MovingAverage()]))
    maker.put([Reading("a", 10**400), Reading("b", 1)])
    maker.put([Reading("b", 1)])
    assert (box.read, box.buffered, dict(box.dropped)) == (3, 3, {})
    first = senml.decode(IoMessage.from_bytes(box.take().body).contentdata)
    assert [(reading.value, reading.quality) for reading in first] == [(None, Quality.BAD), (1, Quality.GOOD)]
