"""Outputs of an I/O expander whose service is killed, stands still, or loses its watchdog process."""

import asyncio
import contextlib
import errno
import json
import os
import signal
import sys

import pytest

from device_bridge import Command
from io_expander.chip import EXPANDERS
from io_expander.emulator import CHIPS
from io_expander.service import IoExpander
from simulated_devices import NoAcknowledge, SimulatedI2cBus

from .serving import bridging, settings_of


class World:
    """An emulated chip whose outputs are pump, lamp (on when low) and rest (on when safe)."""

    def __init__(self, folder, chip):
        self.bus = SimulatedI2cBus(folder / "bus")
        self.chip = CHIPS[chip]()
        self.bus.add("x", 0x20, self.chip)
        self._kind = chip
        self._bits = [1 << len(EXPANDERS[chip].lines) - n for n in (1, 2, 3)]

    def settings(self, **members):
        pump, lamp, rest = EXPANDERS[self._kind].lines[:-4:-1]
        outputs = [
            {"line": pump, "name": "pump"},
            {"line": lamp, "name": "lamp", "active_low": True},
            {"line": rest, "name": "rest", "safe": True},
        ]
        return {"chip": self._kind, "bus": {"path": f"sim:{self.bus.path}"}, "outputs": outputs} | members

    def on(self):
        pump, lamp, rest = (bool(self.chip.levels & bit) for bit in self._bits)
        return {name for name, is_on in (("pump", pump), ("lamp", not lamp), ("rest", rest)) if is_on}

    def refuse(self, count):
        """Has the chip not acknowledge so many writes; returns those that it was sent."""
        write, refused = self.chip.write, []

        def refuse(data):
            if len(refused) < count:
                refused.append(data)
                raise NoAcknowledge
            write(data)

        self.chip.write = refuse
        return refused


SWITCHED = {"pump", "lamp"}
SAFE = {"rest"}

SERVICE = """
import asyncio, json, sys
from device_bridge import Command
from device_bridge.settings import SettingsSources
from device_bridge.supervision import Supervisor
from io_expander.service import IoExpander

async def room():
    return None

async def main():
    sources = SettingsSources(IoExpander.settings_type, file=None, environment={})
    bridge = Supervisor(IoExpander, sources.resolve(sys.argv[1]), lambda _: None, room)
    running = asyncio.ensure_future(bridge.run())
    for name, value in (("pump", True), ("lamp", True), ("rest", False)):
        while not (await bridge.execute(Command(name=name, parameters={"value": value}))).ok:
            await asyncio.sleep(0.01)
    await running

asyncio.run(main())
"""


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def switched_on(world, **members):
    """The service as a process within the block, with pump and lamp on and rest off."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVICE, json.dumps(world.settings(**members))), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await until(lambda: world.on() == SWITCHED)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize(("chip", "on_stop", "refusals"), [("mcp23017", "safe", 3), ("pcf8574", "keep", 0)])
async def test_a_killed_service_leaves_its_outputs_safe(chip, on_stop, refusals, tmp_path):
    """Also when the chip does not acknowledge at once, and when they are kept at an orderly end."""
    world = World(tmp_path, chip)
    async with world.bus.serving(), switched_on(world, on_stop=on_stop) as process:
        refused = world.refuse(refusals)
        process.send_signal(signal.SIGKILL)
        await until(lambda: world.on() == SAFE)
        assert len(refused) == refusals


async def test_without_a_watchdog_a_killed_service_leaves_them_as_they_are(tmp_path):
    world = World(tmp_path, "mcp23017")
    async with world.bus.serving(), switched_on(world, watchdog=False) as process:
        process.send_signal(signal.SIGKILL)
        await process.wait()
        seen = world.bus.transfers
        await asyncio.sleep(0.5)
        assert (world.on(), world.bus.transfers) == (SWITCHED, seen), "else the test above could not fail"


async def test_a_service_that_stands_still_is_killed_and_its_outputs_go_safe(tmp_path):
    world = World(tmp_path, "mcp23017")
    async with world.bus.serving(), switched_on(world, watchdog_timeout=4) as process:
        process.send_signal(signal.SIGSTOP)
        await until(lambda: world.on() == SAFE)
        assert await process.wait() == -signal.SIGKILL


async def test_a_watchdog_leaves_the_bus_alone_and_is_started_again(tmp_path, caplog):
    world = World(tmp_path, "mcp23017")
    async with world.bus.serving(), bridging(IoExpander, settings_of(IoExpander, **world.settings(interval=30))) as b:
        await b.sample()
        guard = b.bridge._service.chip.guard
        assert (await b.bridge.execute(Command(name="pump", parameters={"value": True}))).ok
        own, first = b.bridge.counters()["i2c_transfers"], guard.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: guard.pid not in (first, None))
        assert "the watchdog process has died" in caplog.text
        assert b.bridge.counters()["watchdog_restarts"] == 1
        assert world.on() == {"pump", "rest"}
        assert (own, world.bus.transfers) == (b.bridge.counters()["i2c_transfers"], own), (
            "nobody else has used the bus"
        )


@pytest.mark.parametrize("on_stop", ["safe", "keep"])
async def test_without_a_watchdog_process_outputs_go_safe_and_stay_so(on_stop, tmp_path, monkeypatch):
    world = World(tmp_path, "mcp23017")
    on = Command(name="pump", parameters={"value": True})
    settings = settings_of(IoExpander, **world.settings(on_stop=on_stop))
    async with world.bus.serving(), bridging(IoExpander, settings) as bridged:
        await bridged.sample()
        assert (await bridged.bridge.execute(on)).ok
        guard, starting = bridged.bridge._service.chip.guard, asyncio.create_subprocess_exec

        async def refuse(*_, **__):
            raise OSError(errno.EAGAIN, "no more processes")

        monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
        os.kill(guard.pid, signal.SIGKILL)
        await until(lambda: world.on() == SAFE)
        await until(lambda: "no more processes" in bridged.bridge.reason)
        assert not (await bridged.bridge.execute(on)).ok
        assert world.on() == SAFE
        monkeypatch.setattr(asyncio, "create_subprocess_exec", starting)
        async with asyncio.timeout(30):
            while not (await bridged.bridge.execute(on)).ok:
                await asyncio.sleep(0.02)


async def test_a_chip_that_is_lost_at_the_end_is_tried_by_the_watchdog(tmp_path):
    world = World(tmp_path, "mcp23017")
    async with world.bus.serving():
        async with bridging(IoExpander, settings_of(IoExpander, **world.settings(interval=30))) as bridged:
            await bridged.sample()
            assert (await bridged.bridge.execute(Command(name="pump", parameters={"value": True}))).ok
            world.refuse(3)  # the service itself tries it twice
        assert world.on() == SAFE
