"""How long a bridge waits before it tries again."""

import asyncio
import contextlib

import pytest

from device_bridge import DeviceError, DeviceErrorKind, DeviceService, Quantity, Reading, ServiceSettings
from device_bridge.supervision.supervisor import Supervisor

from ..integration.conftest import Steps

pytestmark = pytest.mark.clock("movable")


class Flapping(DeviceService[ServiceSettings]):
    """Says one thing and fails."""

    quantities = (Quantity("a"),)
    kind = DeviceErrorKind.UNREACHABLE
    lasts_s = 0.0

    async def stream(self):
        yield [Reading("a", 1)]
        await asyncio.sleep(self.lasts_s)
        raise DeviceError(self.kind, "tcp", "closed")


@contextlib.asynccontextmanager
async def bridging(backoff):
    async def room():
        return None

    bridge = Supervisor(Flapping, ServiceSettings(), lambda _: None, room, backoff)
    task = asyncio.ensure_future(bridge.run())
    async with asyncio.timeout(60):
        yield bridge
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("kind", [DeviceErrorKind.UNREACHABLE, DeviceErrorKind.GARBLED, DeviceErrorKind.GONE])
async def test_readings_of_short_lives_do_not_shorten_the_waits(monkeypatch, kind):
    monkeypatch.setattr(Flapping, "kind", kind)
    backoff = Steps()
    async with bridging(backoff):
        while len(backoff.taken) < 5:
            await asyncio.sleep(0.001)
    assert backoff.taken[:5] == [1, 2, 4, 8, 16]


async def test_a_life_that_outlasts_the_wait_before_it_begins_the_waits_again(monkeypatch):
    monkeypatch.setattr(Flapping, "lasts_s", 3.0)
    backoff = Steps()
    async with bridging(backoff):
        while len(backoff.taken) < 4:
            await asyncio.sleep(0.001)
    assert backoff.taken[:4] == [1, 1, 1, 1]
