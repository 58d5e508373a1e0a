"""A service and its emulated device in this process: settings, samples, commands."""

import asyncio
import contextlib
import json
import os
import sys

from device_bridge import NodeState
from device_bridge.buses import attached
from device_bridge.settings import SettingsSources, SettingsStatus
from device_bridge.supervision import Supervisor, collect_device_metrics
from pytest_simulated_devices import reachable
from simulated_devices import InProcessSerialLine, PlayedDevice, SerialFaults, SimulatedSerialLine

from ..movable_clock import is_movable

__all__ = ["Bridged", "Emulator", "bridging", "emulated", "playing", "port_of", "reachable", "settings_of"]


def settings_of(service_type, **members):
    """Settings as the node would give them."""
    sources = SettingsSources(service_type.settings_type, file=None, environment={})
    return sources.resolve(json.dumps(members))


class Bridged:
    """A running bridge, and what it emits."""

    def __init__(self, service_type, settings, totals=None):
        self.samples = asyncio.Queue()
        self.is_connected = True
        self.settings = SettingsStatus()
        self.node = NodeState(lambda: self.is_connected, self.settings)
        self.bridge = Supervisor(
            service_type, settings, self.samples.put_nowait, self._room, node=self.node, totals=totals
        )

    async def _room(self):
        return None

    def metrics(self):
        """As a scraper gets them."""
        return collect_device_metrics(self.bridge)

    async def sample(self, wanted=lambda found: True):
        """The next sample that is wanted, as readings by name."""
        while True:
            found = {reading.name: reading for reading in await self.samples.get()}
            if wanted(found):
                return found


@contextlib.asynccontextmanager
async def bridging(service_type, settings, totals=None):
    """Runs a bridge within the block."""
    bridged = Bridged(service_type, settings, totals)
    task = asyncio.ensure_future(bridged.bridge.run())
    try:
        async with asyncio.timeout(600 if is_movable() else 60):  # of no matter but to a test that fails
            yield bridged
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def playing(device, path, **faults):
    """A device on a line of its own within the block: in this process on a movable clock, else a terminal."""
    with (InProcessSerialLine if is_movable() else SimulatedSerialLine)(path) as line, attached(str(path), line):
        played = PlayedDevice(device, line, SerialFaults(**faults))
        task = asyncio.ensure_future(played.run())
        try:
            yield played
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def port_of(path):
    """The service's name for the line that `playing` makes."""
    return f"sim:{path}" if is_movable() else str(path)


class Emulator:
    """An emulator's process: how to reach what it emulates, and its control input."""

    def __init__(self, process, settings):
        self._process, self.settings = process, settings

    async def tell(self, line):
        """What became of a line of its control input."""
        self._process.stdin.write(f"{line}\n".encode())
        return json.loads(await asyncio.wait_for(self._process.stdout.readline(), 60))["result"]


@contextlib.asynccontextmanager
async def emulated(module, *arguments, **variables):
    """Runs `python -m module.emulator` within the block, with more variables; it ends in order."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"{module}.emulator", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | variables,
    )
    try:
        told = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        yield Emulator(process, told["settings"])
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0
