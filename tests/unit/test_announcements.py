"""What a service says about itself, and whom an addressed command is for."""

import asyncio
import json

import msgspec
import pytest

from device_bridge import DeviceError, DeviceErrorKind
from device_bridge.messages import ANNOUNCEMENT_TYPE, Announcement
from iofog_sdk import Address, IoMessage
from pytest_simulated_devices import MemoryLink

from .test_process import Bench, executed, opened, running, until


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """It looks often, so that a test need not wait."""
    monkeypatch.setattr("device_bridge.runtime.announcer._LOOK_S", 0.001)


OWN, OTHER = "0e8a4c1e-0000-4000-8000-00000000000a", "0e8a4c1e-0000-4000-8000-00000000000b"


def announced(link):
    return [
        msgspec.json.decode(m.contentdata, type=Announcement) for m in link.sent if m.infotype == ANNOUNCEMENT_TYPE
    ]


async def test_a_service_says_what_it_is_and_which_commands_it_takes():
    async with running(ANNOUNCE="3600", SOURCE="bench-1") as (_, link):
        await until(lambda: announced(link) and announced(link)[-1].state == "reading")
        last = announced(link)[-1]
        assert (last.service, last.source, last.reason, last.refused) == (Bench.name(), "bench-1", "", "")
        assert last.commands == Bench.commands
        assert last.interval == 3600


async def test_nothing_is_announced_unless_it_is_asked_for():
    async with running() as (_, link):
        await until(lambda: link.sent)
    assert not announced(link)


@pytest.mark.clock("movable")
async def test_a_failed_device_and_its_return_are_announced(monkeypatch):
    fails = 2 * [DeviceError(DeviceErrorKind.GONE, "/dev/x", "unplugged")]
    links = []

    async def stream(self):
        if fails and opened[1:]:
            raise fails.pop()
        yield [self.quantities[0].good(1.5)]
        if fails:
            await until(lambda: links and announced(links[0]) and announced(links[0])[-1].state == "reading")
            raise fails.pop()
        await asyncio.Event().wait()

    monkeypatch.setattr(Bench, "stream", stream)
    async with running(ANNOUNCE="3600") as (_, link):
        links.append(link)
        await until(lambda: announced(link)[-2:-1] and announced(link)[-2].state == "failed")
        failed, came_back = announced(link)[-2:]
        assert (failed.reason, came_back.state, came_back.reason) == ("/dev/x: gone: unplugged", "reading", "")


async def test_refused_settings_are_announced_with_the_reason():
    async with running(ANNOUNCE="3600") as (_, link):
        await until(lambda: announced(link))
        link.on_config(json.dumps({"port": 5}))
        await until(lambda: announced(link)[-1].refused)
        assert "port" in announced(link)[-1].refused
        link.on_config(json.dumps({"port": "b"}))
        await until(lambda: not announced(link)[-1].refused)


@pytest.mark.parametrize(
    ("recipient", "is_executed"), [(OWN, True), (OWN.upper(), True), (OTHER, False), ("relays", True), ("", True)]
)
async def test_a_command_for_another_microservice_is_left_alone(monkeypatch, recipient, is_executed):
    monkeypatch.setattr(MemoryLink, "microservice_id", OWN)
    async with running() as (_, link):
        await until(lambda: link.sent)
        content = json.dumps({"command": "set", "value": 1, "time": 2**31}).encode()
        link.inbox.put_nowait(IoMessage(id="addressed", tag=Address(recipient).tag(), contentdata=content))
        link.command(command="set", value=2, id="last")
        await until(lambda: any(result["id"] == "last" for result in link.results))
        assert len(executed) == 1 + is_executed
