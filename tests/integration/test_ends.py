"""A whole service, ended at any turn of its loop: with commands under way, an outbox on disk, and a reload."""

import asyncio
import contextlib
import itertools
import json
from collections import Counter

import pytest

from device_bridge import CommandedSettings, CommandSpec, DeviceService, OutboxSettings, Quantity, Result
from device_bridge.outbox.durable import Outbox
from device_bridge.runtime import Runtime
from device_bridge.settings import SettingsSources
from iofog_sdk import IoMessage
from pytest_simulated_devices import MemoryLink

from ..cancellation import Suspensions


class BenchSettings(CommandedSettings, frozen=True, kw_only=True):
    port: str = "a"


class Bench(DeviceService[BenchSettings]):
    quantities = (Quantity("level", "m"),)
    commands = (CommandSpec("x"),)
    read = 0

    async def open(self):
        await asyncio.sleep(0)

    async def stream(self):
        for _ in range(200):
            type(self).read += 1
            yield [self.quantities[0].good(type(self).read)]
            await asyncio.sleep(0)
        await asyncio.Event().wait()

    async def execute(self, command):
        for _ in range(5):
            await asyncio.sleep(0)
        return Result(ok=True)


class SlowLink(MemoryLink):
    """Gives its receipts a few turns later, or none at all."""

    answers = True
    taken = 0
    """Messages whose receiver has come back for the next one: a node delivers them no more."""

    async def messages(self):
        while True:
            yield await self.inbox.get()
            self.taken += 1

    def post(self, body, done):
        if self.answers:
            asyncio.get_running_loop().call_soon(super().post, body, done)


@pytest.mark.parametrize("answers", [True, False], ids=["node", "no node"])
async def test_ended_at_every_turn_nothing_is_lost_or_left_running(tmp_path, answers, monkeypatch):
    monkeypatch.setattr("device_bridge.runtime.pipeline._DRAIN_S", 0.01)
    read = answered = 0
    for is_open in (False, True):
        for turns in range(0, 120, 5):
            folder = tmp_path / f"{is_open}{turns}"
            answered += await _end_after(turns, folder, answers=answers, once_open=is_open)
            read += Bench.read
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left
    assert read > 1000
    assert answered > 50


async def _end_after(turns, folder, *, answers, once_open):
    """Returns how many commands were answered."""
    Bench.read = 0
    file = folder / "settings.json"
    folder.mkdir()
    settings = {"outbox": {"directory": str(folder), "durability": "always"}, "max_command_age": 1e12}
    file.write_text(json.dumps(settings))
    link = SlowLink()
    link.answers = answers
    runtime = Runtime(Bench, SettingsSources(BenchSettings, file=file, environment={}), link)
    running = asyncio.ensure_future(runtime.run())
    given = []
    while once_open and not Bench.read:
        await asyncio.sleep(0)
    for turn in range(turns):
        if turn % 10 == 9 and not running.done():
            given.append(f"c{turn}")
            link.inbox.put_nowait(
                IoMessage(id=given[-1], contentdata=json.dumps({"command": "x", "time": 2**31}).encode())
            )
        if turn == 50:
            file.write_text(json.dumps(settings | {"port": "b"}))
            runtime.reload()
        await asyncio.sleep(0)
    runtime.stop()
    async with asyncio.timeout(60):
        await running
    kept = await _left_on_disk(folder)
    messages = [message for message in [*link.sent, *kept] if message.infotype != "application/json"]
    values = Counter(value for m in messages for value in _values(m))
    assert set(values) == set(range(1, Bench.read + 1)), "read is delivered or on disk"
    results = [message for message in [*link.sent, *kept] if message.infotype == "application/json"]
    answered = Counter(json.loads(message.contentdata)["id"] for message in results)
    assert len(answered) == link.taken, "each command that was taken has a result"
    if not answers:
        assert set(answered.values()) <= {1}
    return len(answered)


async def _left_on_disk(folder):
    box = Outbox(OutboxSettings(directory=str(folder)), folder / "tests.outbox")
    await box.open()
    found = []
    async with asyncio.timeout(60):
        while len(found) < box._messages:
            await box.wait_unsent()
            if (entry := box.take()) is not None:
                found.append(IoMessage.from_bytes(entry.body))
    await box.close()
    return found


def _values(message):
    return [record["v"] for record in json.loads(message.contentdata) if "v" in record]


class Forwarding(Bench):
    forwards_messages = True


async def test_cancelled_at_any_await_nothing_is_held_or_left_running(tmp_path):
    """What it had opened by then is free for the next one at once."""
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"outbox": {"directory": str(tmp_path), "durability": "always"}}))
    for at in itertools.count(1):
        Bench.read = 0
        runtime = Runtime(Forwarding, SettingsSources(BenchSettings, file=file, environment={}), SlowLink())
        suspensions = Suspensions(at)
        running = asyncio.ensure_future(suspensions.through(runtime.run()))
        for _ in range(1000):
            if running.done() or suspensions.count >= at or Bench.read:
                break
            await asyncio.sleep(0.001)
        if not running.done():
            runtime.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(running, 30)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        for name in ("tests.outbox", "tests.incoming"):
            if (tmp_path / name).exists():
                box = Outbox(OutboxSettings(), tmp_path / name)
                await box.open()
                assert not box.problem, at
                await box.close()
        if suspensions.count < at:
            break
    assert at > 4
