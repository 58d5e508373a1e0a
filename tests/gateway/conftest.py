"""A gateway in this process, with services that behave in every way that one must not disturb another by."""

import asyncio
import contextlib
import sys
from pathlib import Path

import pytest

from device_bridge.gateway import ServiceBridges
from device_bridge.runtime import Runtime
from device_bridge.settings import SettingsSources
from edge_gateway.service import EdgeGateway, EdgeGatewaySettings

from .recording_link import RecordingLink

SERVICES = Path(__file__).parent / "services"
sys.path.append(str(SERVICES))


class Gateway:
    """A running gateway.

    Its `link` is the node; `metrics` are as a scraper gets them, by name and bridge.
    """

    def __init__(self, link):
        self.link = link
        self.pipeline = None
        """The process's own."""

    def make_bridges(self, pipeline):
        """As a Runtime wants it."""
        self.pipeline = pipeline
        return ServiceBridges(pipeline)

    def bridges(self):
        """What `/readyz` says of each."""
        return self.pipeline.readiness()["bridges"] if self.pipeline else {}

    def state(self, name):
        """Of one."""
        return self.bridges().get(name, {}).get("device", {}).get("state")

    def counts(self, bridge=""):
        """The accounting of one, or of what is none's; `dropped` by reason."""
        counts = {"dropped": {}}
        for metric in self.pipeline.metrics() if self.pipeline else ():
            if metric.labels.get("bridge", "") != bridge or not metric.name.startswith("bridge_readings_"):
                continue
            name = metric.name.removeprefix("bridge_readings_").removesuffix("_total")
            if name == "dropped":
                counts["dropped"][metric.labels["reason"]] = metric.value
            else:
                counts[name] = metric.value
        return counts

    def assert_accounted(self, *names):
        """`read = delivered + buffered + dropped`, for each and for all together."""
        for name in names:
            counts = self.counts(name)
            ended = counts["delivered"] + counts["buffered"] + sum(counts["dropped"].values())
            assert counts["read"] == ended, (name, counts)
        box = self.pipeline.uplink.outbox
        assert box.read == box.delivered + box.buffered + box.dropped.total()


@pytest.fixture
def gateway():
    """Runs a gateway with these settings within a block."""

    @contextlib.asynccontextmanager
    async def run(link=None, *, limit_s=300, **settings):
        link = link or RecordingLink(settings)
        sources = SettingsSources(EdgeGatewaySettings, file=None, environment={})
        running = Gateway(link)
        runtime = Runtime(EdgeGateway, sources, link, make_bridges=running.make_bridges)
        task = asyncio.ensure_future(runtime.run())
        try:
            async with asyncio.timeout(limit_s):
                yield running
        finally:
            runtime.stop()
            await asyncio.wait_for(task, 60)

    return run


async def until(condition):
    """Waits for a condition, on a clock that is movable."""
    while not condition():
        await asyncio.sleep(0.05)


def steady(port="x", **settings):
    """An entry for a gauge."""
    return {"service": "bench_steady", "settings": {"port": port, **settings}}
