"""The limit of what one bridge may send: exact counts, and the last state always arrives."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Forwarded, Quality, Reading
from device_bridge.gateway.intake import TOO_FAST, RateLimit

from ..movable_clock import run

SAMPLES = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.01, 0.3, 5.0]),
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True),
        st.booleans(),
    ),
    max_size=120,
)


class Counts:
    """An outbox that counts."""

    def __init__(self):
        self.refused = 0

    def refuse(self, readings, reason):
        assert reason == TOO_FAST
        self.refused += readings

    async def wait_room(self):
        pass


@given(SAMPLES, st.floats(0.5, 100))
def test_every_reading_arrives_or_is_counted_and_the_last_of_each_arrives(samples, rate):
    async def work():
        passed, heard, box = [], [], Counts()
        times = []
        now = asyncio.get_running_loop().time

        def put(sample):
            passed.extend(sample)
            times.append(now())

        limit = RateLimit(rate, put, box, heard.extend)
        given_readings, last, began_at = 0, {}, now()
        for pause_s, names, is_good in samples:
            await asyncio.sleep(pause_s)
            quality = Quality.GOOD if is_good else Quality.BAD
            sample = [Reading(name, given_readings + at, quality=quality) for at, name in enumerate(names)]
            limit.put(sample)
            given_readings += len(sample)
            last |= {reading.name: reading.value for reading in sample}
        await asyncio.sleep(10)
        assert len(passed) + box.refused == given_readings == len(heard)
        assert {reading.name: reading.value for reading in passed} == last
        assert len(times) <= max(10, 2 * rate) + rate * (now() - began_at) + 1
        values = {name: [one.value for one in passed if one.name == name] for name in last}
        assert all(each == sorted(each) for each in values.values()), "in order"

    run(work())


@pytest.mark.clock("movable")
async def test_what_is_held_back_has_the_time_at_which_it_came_and_is_passed_on_at_the_end():
    passed, box = [], Counts()
    limit = RateLimit(1.0, passed.append, box, lambda _: None)
    for number in range(12):
        limit.put([Reading("a", number)])
    assert len(passed) == 10
    await asyncio.sleep(0.5)
    limit.close()
    assert [(one.value, round(one.time, 3)) for one in passed[-1]] == [(11, -0.5)]
    assert box.refused == 1
    limit.put(Forwarded(content=b"x"))
    assert box.refused == 2
