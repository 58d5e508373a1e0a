"""Every service and profile under every fault of its bus: a reading may be lost or marked, never wrong and good.

`make test` runs a few sequences of faults for each; `make fuzz` hundreds, each round from another SEED.
"""

import random
import zlib

import pytest

from ..campaign import SEED, budget
from .bench import campaign
from .worlds import CLOCKS, WORLDS


def _those(clock):
    """The places of a clock: a test has one of them, for its parameters' marks come too late."""
    return pytest.mark.parametrize("place", [place for place in WORLDS if CLOCKS.get(place, "movable") == clock])


@pytest.mark.campaign
@pytest.mark.clock("movable")
@_those("movable")
async def test_no_fault_makes_a_wrong_value_good(tmp_path, place):
    await _no_fault_makes_a_wrong_value_good(tmp_path, place)


@pytest.mark.campaign
@_those("real")
async def test_no_fault_makes_a_wrong_value_good_in_threads(tmp_path, place):
    await _no_fault_makes_a_wrong_value_good(tmp_path, place)


async def _no_fault_makes_a_wrong_value_good(tmp_path, place):
    chance = random.Random(SEED + zlib.crc32(place.encode()))
    async with WORLDS[place](tmp_path, chance) as world:
        trial = await campaign(world, chance, budget(steady=3, fuzz=300))
    assert not trial.wrong, f"SEED={SEED}: {place} sends as good {trial.wrong[0]}"
