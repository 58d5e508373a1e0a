"""The console as a link: it waits for its reader and holds up nobody else."""

import asyncio
import json
import os

from device_bridge import OutboxSettings
from device_bridge.outbox.delivery import Delivery
from device_bridge.outbox.durable import Outbox
from iofog_sdk import ConnectionLost, ConsoleLink, IoMessage, Receipt
from iofog_sdk.links import console


def body(number):
    return IoMessage(sequencenumber=number, infotype="t", contentdata=b'[{"v":1}]').to_bytes()


async def test_a_console_that_nobody_reads_holds_up_nobody_and_gets_all_when_it_is_read_again():
    read, write = os.pipe()
    link, box, count = ConsoleLink(write), Outbox(OutboxSettings(durability="memory")), 5000
    for number in range(count):
        box.put(body(number), 1)
    async with link, asyncio.timeout(60):
        delivering = asyncio.ensure_future(Delivery(box, link, lambda entry: entry.body).run())
        while not link._writer.waiting_bytes:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)  # the loop goes on meanwhile
        assert box.delivered < count
        with os.fdopen(read, "rb") as reader:
            lines = await asyncio.to_thread(lambda: [next(reader) for _ in range(count)])
            await box.wait_empty()
        assert (box.delivered, box.dropped.total()) == (count, 0)
        delivering.cancel()
    os.close(write)
    assert [json.loads(line)["sequencenumber"] for line in lines] == list(range(count))


async def test_a_console_without_room_says_so():
    read, write = os.pipe()
    link, outcomes = ConsoleLink(write), []
    async with link, asyncio.timeout(60):
        for number in range(2000):
            link.post(body(number), outcomes.append)
        waiting = asyncio.ensure_future(link.wait_for_room())
        await asyncio.sleep(0)
        assert (waiting.done(), link.connected) == (False, True)
    await waiting
    assert len(outcomes) == 2000, "all have an outcome when it is closed"
    assert isinstance(outcomes[-1], ConnectionLost)
    os.close(read)
    while link._writer.waiting_bytes:  # its thread notices that nobody will read
        await asyncio.sleep(0.001)
    os.close(write)


async def test_a_console_that_cannot_be_written_is_a_lost_link_that_is_tried_again(monkeypatch):
    monkeypatch.setattr(console, "_RETRY_S", 0.01)
    read, write = os.pipe()
    os.close(read)
    link, outcomes = ConsoleLink(write), []
    async with link, asyncio.timeout(60):
        for number in range(3):
            link.post(body(number), outcomes.append)
        while len(outcomes) < 3:
            await asyncio.sleep(0.001)
        assert {type(outcome) for outcome in outcomes} == {ConnectionLost}
        await link.wait_connected()
        assert link.last_error is None
    os.close(write)


async def test_what_cannot_be_decoded_is_printed_all_the_same():
    read, write = os.pipe()
    link, outcomes = ConsoleLink(write), []
    async with link, asyncio.timeout(60):
        for content in (b"\xff\x00", b"[" * 5000, b"{}"):
            link.post(IoMessage(contentdata=content).to_bytes(), outcomes.append)
        while len(outcomes) < 3:
            await asyncio.sleep(0.001)
    os.close(write)
    with os.fdopen(read, "rb") as reader:
        assert [json.loads(line)["content"] for line in reader] == ["\\xff\x00", "[" * 5000, {}]
    assert {type(outcome) for outcome in outcomes} == {Receipt}
