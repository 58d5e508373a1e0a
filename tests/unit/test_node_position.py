"""Reports of the node's position: seldom, in the background, counted, and logged once when refused."""

import asyncio

import pytest

from device_bridge import NodePosition
from iofog_sdk import RequestRefused

REFUSED = RequestRefused("/v1/system/gps", 403, "FORBIDDEN")


class Node:
    def __init__(self):
        self.reports, self.refuses = [], None
        self.answer = asyncio.Event()
        self.answer.set()
        self.position = NodePosition(self.send)

    async def send(self, lat, lon):
        self.reports.append((lat, lon))
        await self.answer.wait()
        if self.refuses:
            raise self.refuses

    def counts(self):
        return {metric.labels["result"]: metric.value for metric in self.position.metrics()}


@pytest.mark.clock("movable")
async def test_it_is_reported_at_its_interval_however_often_it_is_known():
    node = Node()
    assert node.counts() == {}
    for second in range(121):
        node.position.report(second, 0, 60.0)
        await asyncio.sleep(1)
    assert node.reports == [(0, 0), (60, 0), (120, 0)]
    assert node.counts() == {"accepted": 3, "refused": 0}


@pytest.mark.clock("movable")
async def test_a_slow_node_gets_one_report_at_a_time():
    node = Node()
    node.answer.clear()
    for _ in range(100):
        node.position.report(1, 2, 10.0)
        await asyncio.sleep(1)
    assert node.reports == [(1, 2)]
    node.position.close()


@pytest.mark.clock("movable")
async def test_refusals_are_counted_and_logged_once_until_one_is_accepted(caplog):
    node = Node()
    for refusal in (REFUSED, REFUSED, None, REFUSED):
        node.refuses = refusal
        node.position.report(1, 2, 10.0)
        await asyncio.sleep(11)
    assert node.counts() == {"accepted": 1, "refused": 3}
    assert caplog.text.count("the node does not accept its position: /v1/system/gps answered 403") == 2
