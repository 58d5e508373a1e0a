"""One bridge that crashes, hangs or floods beside others: these do not notice."""

import asyncio
import itertools

import pytest

from .conftest import steady, until

pytestmark = pytest.mark.clock("movable")


def intervals(records):
    times = [record["at"] for record in records]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


TROUBLES = {
    "crash": {"service": "bench_crashing"},
    "hang when opened": {"service": "bench_hanging", "settings": {"where": "open"}},
    "hang when read": {"service": "bench_hanging", "settings": {"where": "stream"}},
    "flood": {"service": "bench_flooding", "max_rate": 50},
    "no such service": {"service": "bench_missing"},
    "wrong settings": {"service": "bench_steady", "settings": {"prt": "x"}},
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_the_others_go_on_at_their_interval(gateway, trouble):
    async with gateway(bridges={"one": steady("1"), "trouble": TROUBLES[trouble], "two": steady("2")}) as running:
        await asyncio.sleep(60)
        for name in ("one", "two"):
            records = running.link.records(name)
            assert len(records) >= 59
            assert all(record["v"] == 1.0 for record in records), "never marked"
            assert max(intervals(records)) <= 1.05
        running.assert_accounted("one", "two", "")
    numbers = running.link.numbers()
    assert all(each == list(range(1, len(each) + 1)) for each in numbers.values()), "each run counts from 1"


async def test_a_crash_is_a_state_of_one(gateway):
    async with gateway(bridges={"one": steady(), "trouble": {"service": "bench_crashing"}}) as running:
        await until(lambda: running.state("trouble") == "failed")
        assert "nobody has thought of this" in running.bridges()["trouble"]["device"]["reason"]
        assert not running.pipeline.is_up
        assert running.state("one") == "reading"
        [bad] = [one for one in running.link.records("trouble") if one.get("quality") == "bad"]
        assert "nobody has thought of this" in bad["reason"]
        up = {m.labels.get("bridge"): m.value for m in running.pipeline.metrics() if m.name == "bridge_device_up"}
        assert up == {None: True, "one": True, "trouble": False}


async def test_a_flood_is_thinned_out_and_counted_and_its_last_reading_arrives(gateway):
    flood = {"service": "bench_flooding", "max_rate": 20, "settings": {"samples": 5000}}
    async with gateway(bridges={"flood": flood, "one": steady()}) as running:
        await until(lambda: running.link.records("flood") and running.link.records("flood")[-1]["v"] == 5000)
        await asyncio.sleep(5)
        records = running.link.records("flood")
        counts = running.counts("flood")
        assert counts["read"] == 5000
        assert counts["delivered"] == len(records)
        assert counts["dropped"]["faster than max_rate"] == 5000 - len(records)
        assert len(records) <= 40 + 20 * (records[-1]["at"] - records[0]["at"]) + 1
        running.assert_accounted("flood", "one", "")


async def test_a_bridge_that_cannot_be_closed_holds_up_neither_the_others_nor_the_end(gateway):
    hanging = {"service": "bench_hanging", "settings": {"where": "close"}}
    async with gateway(bridges={"one": steady("1"), "trouble": hanging}) as running:
        await until(lambda: running.state("trouble") == "reading")
        running.link.reconfigure(bridges={"one": steady("1")})
        await asyncio.sleep(30)
        assert max(intervals(running.link.records("one"))) <= 1.05
        assert running.bridges().keys() == {"one"}
        running.link.reconfigure(bridges={"one": steady("1"), "trouble": hanging})
        await until(lambda: running.state("trouble") == "reading")
        before = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - before < 9.5, "a container is killed after 10 s"
