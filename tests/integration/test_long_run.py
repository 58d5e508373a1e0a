"""Many readings over a link that fails again and again: the accounting is exact on every kind of node.

`READINGS=1000000 FAILURES_EVERY_S=3 make test ARGS=tests/integration/test_long_run.py` runs a million on each.
"""

import asyncio
import os

import pytest

from device_bridge.filters import FilterChain
from device_bridge.messages.clock import Clock
from device_bridge.messages.maker import MessageMaker
from device_bridge.outbox.delivery import Delivery
from device_bridge.outbox.durable import Outbox
from device_bridge.reading import Reading
from device_bridge.service_settings import OutboxSettings
from iofog_sdk import connect

from .conftest import until
from .nodes import NODES, is_here
from .test_mqtt_link import MOSQUITTO

READINGS = int(os.environ.get("READINGS", "6000"))
PER_MESSAGE = 10
FAILURES_EVERY_S = float(os.environ.get("FAILURES_EVERY_S", "0.1"))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", NODES)
async def test_read_is_delivered_whatever_the_link_does(kind, tmp_path):
    if not is_here(kind):
        pytest.skip(MOSQUITTO)
    async with NODES[kind](tmp_path) as node, node.receiving() as receiver:
        link = connect(node.variables())
        settings = OutboxSettings(on_full="pause_reading", max_bytes=4 * 1024 * 1024)
        outbox = Outbox(settings, tmp_path / "outbox")
        await outbox.open()
        maker = MessageMaker(link.microservice_id, Clock(trusted=True), outbox)
        maker.use("bench", FilterChain(()))
        breaks = 0

        async def fail():
            nonlocal breaks
            while True:
                await asyncio.sleep(FAILURES_EVERY_S)
                await node.begin("breaks")
                breaks += 1

        async with link:
            delivery = Delivery(outbox, link, lambda entry: entry.body)
            work = [asyncio.ensure_future(delivery.run()), asyncio.ensure_future(fail())]
            count = READINGS // PER_MESSAGE
            for number in range(count):
                await outbox.wait_room()
                await until(lambda number=number: breaks >= 4 * number // count)  # failures in between, however fast
                base = number * PER_MESSAGE
                maker.put([Reading(f"q{n}", base + n, "count", time=1.0 + number) for n in range(PER_MESSAGE)])
                if number % 50 == 0:
                    await asyncio.sleep(0.005)
            work[1].cancel()
            await asyncio.wait_for(outbox.wait_empty(), 600)
            await until(lambda: len(receiver.samples) >= READINGS // PER_MESSAGE, 600)
            work[0].cancel()
            await asyncio.gather(*work, return_exceptions=True)
        await outbox.close()
    assert (outbox.read, outbox.delivered, outbox.buffered) == (READINGS, READINGS, 0)
    assert outbox.dropped.total() == 0
    values = [int(reading.value) for sample in receiver.samples for reading in sample]
    assert values == list(range(READINGS))
