"""What a campaign of faults needs: a service on a device whose truth is known, and a judge of each reading."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict

from device_bridge import Forwarded, Quality
from device_bridge.supervision import Supervisor

from ..services.serving import settings_of


class World:
    """A device, what can befall it, and what is true of it.

    `faults` are by name; each takes the random choices and makes things worse. `heal` ends all of them.
    """

    settle_s = 12.0
    """Seconds without a fault, in which the truth is learned."""
    longest_s = 4.0
    """Seconds from one fault to the next at most."""
    recovery_s = 120.0
    """Seconds after the last fault in which a good reading has to come."""
    varying = frozenset()
    """Quantities that are never twice the same, as the time."""
    partial = frozenset()
    """Quantities that may be less than the truth, by what they mean."""

    def __init__(self, service_type, **settings):
        self.service_type, self.settings = service_type, settings_of(service_type, **settings)
        self.faults = {}
        self.trial = None
        self.is_learning = True
        self._truth = defaultdict(set)

    def heal(self):
        """Ends all faults."""

    def is_right(self, reading):
        """Whether a good reading says what is true now; while learning, it is what is true."""
        if reading.name in self.varying:
            return True
        if self.is_learning:
            self._truth[reading.name].add(reading.value)
            return True
        truth = self._truth[reading.name]
        return reading.value in truth or (reading.name in self.partial and reading.value < max(truth))


class Trial:
    """A service in a world, and what has come of it."""

    def __init__(self, world):
        self.world, self.good, self.wrong = world, 0, []
        self.supervisor = Supervisor(world.service_type, world.settings, self._emit, self._room)

    async def _room(self):
        return None

    def _emit(self, sample):
        if isinstance(sample, Forwarded):
            sample = sample.content
        for reading in sample:
            if reading.quality is Quality.GOOD:
                self.good += 1
                if not self.world.is_right(reading):
                    self.wrong.append(reading)

    @contextlib.asynccontextmanager
    async def running(self):
        """Runs the service within the block."""
        task = asyncio.ensure_future(self.supervisor.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def campaign(world, chance, sequences):
    """Random faults, one after another and several at once; returns the trial."""
    trial = world.trial = Trial(world)
    async with trial.running():
        await asyncio.sleep(world.settle_s)
        world.is_learning = False
        assert trial.good, "nothing good comes of it without any fault"
        for _ in range(sequences):
            world.faults[chance.choice(sorted(world.faults))](chance)
            await asyncio.sleep(chance.uniform(0, world.longest_s))
            if chance.random() < 0.5:
                world.heal()
                await asyncio.sleep(chance.uniform(0, world.longest_s))
            if trial.wrong:
                break
        world.heal()
        good, end = trial.good, asyncio.get_running_loop().time() + world.recovery_s
        while trial.good == good and not trial.wrong:
            assert asyncio.get_running_loop().time() < end, "nothing good comes after the last fault"
            await asyncio.sleep(0.5)
    return trial
