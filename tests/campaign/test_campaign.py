"""Every service and profile under every fault of its bus: a reading may be lost or marked, never wrong and good.

`make test` runs a few sequences of faults for each; `make fuzz` hundreds, each round from another SEED.
"""

import os
import random
import zlib

import pytest

from .bench import campaign
from .worlds import WORLDS

SEED = int(os.environ.get("SEED", "16"))
SEQUENCES = 300 if "SEED" in os.environ else 3


@pytest.mark.campaign
@pytest.mark.clock("movable")
@pytest.mark.parametrize("place", WORLDS)
async def test_no_fault_makes_a_wrong_value_good(tmp_path, place):
    chance = random.Random(SEED + zlib.crc32(place.encode()))
    async with WORLDS[place](tmp_path, chance) as world:
        trial = await campaign(world, chance, SEQUENCES)
    assert not trial.wrong, f"SEED={SEED}: {place} sends as good {trial.wrong[0]}"
