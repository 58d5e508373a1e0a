"""Every service and profile under every fault of its bus: a reading may be lost or marked, never wrong and good.

`make test` runs a few sequences of faults for each; `make fuzz` hundreds, each round from another SEED.
"""

import random
import zlib

import pytest

from ..campaign import SEED, budget
from .bench import campaign
from .worlds import CLOCKS, WORLDS


@pytest.mark.campaign
@pytest.mark.parametrize(
    "place", [pytest.param(place, marks=pytest.mark.clock(CLOCKS.get(place, "movable"))) for place in WORLDS]
)
async def test_no_fault_makes_a_wrong_value_good(tmp_path, place):
    chance = random.Random(SEED + zlib.crc32(place.encode()))
    async with WORLDS[place](tmp_path, chance) as world:
        trial = await campaign(world, chance, budget(steady=3, fuzz=300))
    assert not trial.wrong, f"SEED={SEED}: {place} sends as good {trial.wrong[0]}"
