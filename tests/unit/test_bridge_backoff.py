"""How long a bridge waits before it tries again."""

import asyncio
import contextlib

import pytest

from device_bridge import DeviceError, DeviceErrorKind, DeviceService, Reading, ServiceSettings
from device_bridge.runtime.supervisor import Bridge

from ..integration.conftest import Steps


class Flapping(DeviceService[ServiceSettings]):
    """Says one thing and fails."""

    kind = DeviceErrorKind.UNREACHABLE

    async def stream(self):
        yield [Reading("a", 1)]
        raise DeviceError(self.kind, "tcp", "closed")


@contextlib.asynccontextmanager
async def bridging(backoff):
    async def room():
        return None

    bridge = Bridge(Flapping, ServiceSettings(), lambda _: None, room, backoff)
    task = asyncio.ensure_future(bridge.run())
    async with asyncio.timeout(20):
        yield bridge
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("kind", "steps"), [(DeviceErrorKind.UNREACHABLE, [1, 2, 4, 8, 16]), (DeviceErrorKind.GARBLED, [1, 1, 1, 1, 1])]
)
async def test_readings_of_short_sessions_over_a_network_do_not_shorten_the_waits(monkeypatch, kind, steps):
    monkeypatch.setattr(Flapping, "kind", kind)
    backoff = Steps()
    async with bridging(backoff):
        while len(backoff.taken) < len(steps):
            await asyncio.sleep(0.001)
    assert backoff.taken[: len(steps)] == steps


async def test_a_session_that_lasts_begins_anew(monkeypatch):
    monkeypatch.setattr("device_bridge.runtime.supervisor._STEADY_AFTER_S", -1.0)
    backoff = Steps()
    async with bridging(backoff):
        while len(backoff.taken) < 4:
            await asyncio.sleep(0.001)
    assert backoff.taken[:4] == [1, 1, 1, 1]
