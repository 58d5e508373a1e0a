"""A reading of one bridge switches an output of another; without the reading it is in its safe state."""

import asyncio

import pytest
from bench_lamps.service import Lamps
from bench_steady.service import LEVEL, Steady
from msgspec.structs import replace

from .conftest import steady, until

pytestmark = pytest.mark.clock("movable")

LAMP = {"reading": "gauge/level", "output": "lamps/lamp", "on_above": 10, "off_below": 5, "max_age": 30}
SIGN = LAMP | {"output": "lamps/sign"}


@pytest.fixture
def site(gateway):
    """A gateway with a gauge, lamps and rules; the gauge's levels, and the lamps' class."""
    Steady.levels.clear()
    Lamps.state.clear()
    Lamps.done.clear()
    Lamps.refuses = False
    bridges = {"gauge": steady("1"), "lamps": {"service": "bench_lamps"}}

    def start(**settings):
        return gateway(**({"bridges": bridges, "rules": [LAMP, SIGN]} | settings))

    return start, Steady.levels, Lamps, bridges


async def test_a_reading_switches_outputs_of_another_bridge_link_or_no_link(site):
    start, levels, lamps, _ = site
    async with start() as running:
        await until(lambda: lamps.state == {"lamp": False, "sign": False})
        running.link.connect(up=False)
        levels["1"] = 20
        await until(lambda: lamps.state == {"lamp": True, "sign": True})
        levels["1"] = 7
        await asyncio.sleep(5)
        assert lamps.state["lamp"], "between the thresholds nothing changes"
        levels["1"] = 1
        await until(lambda: lamps.state == {"lamp": False, "sign": False})
        running.link.connect(up=True)
        await until(lambda: running.link.records("lamps"))
        assert running.link.records("lamps")[-1]["vb"] is False
        assert running.link.results == [], "nobody has sent a command"


@pytest.mark.parametrize("loss", ["silence", "removed", "disabled", "crash"])
async def test_without_its_reading_an_output_is_in_its_safe_state(site, loss):
    start, levels, lamps, bridges = site
    levels["1"] = 20
    async with start() as running:
        await until(lambda: lamps.state == {"lamp": True, "sign": True})
        began_at = asyncio.get_running_loop().time()
        match loss:
            case "silence":
                levels["1"] = None
            case "removed":
                running.link.reconfigure(bridges={"lamps": bridges["lamps"], "gauge": {"service": "bench_crashing"}})
            case "disabled":
                running.link.reconfigure(
                    bridges=bridges | {"gauge": bridges["gauge"] | {"enabled": False}}, rules=[LAMP, SIGN]
                )
            case "crash":
                levels["1"] = "nonsense that is no level"
        await until(lambda: lamps.state == {"lamp": False, "sign": True})
        took_s = asyncio.get_running_loop().time() - began_at
        assert took_s <= (33 if loss in ("silence", "disabled") else 3)
        levels["1"] = 20
        if loss in ("silence", "crash"):
            await until(lambda: lamps.state == {"lamp": True, "sign": True})


async def test_a_bridge_that_is_disabled_is_no_reading_even_without_max_age(site):
    start, levels, lamps, bridges = site
    levels["1"] = 20
    rules = [LAMP | {"max_age": 0}]
    async with start(rules=rules) as running:
        await until(lambda: lamps.state.get("lamp"))
        gone = bridges["gauge"] | {"enabled": False}
        running.link.reconfigure(bridges=bridges | {"gauge": gone}, rules=rules)
        await until(lambda: lamps.state["lamp"] is False)


@pytest.mark.parametrize(("age_s", "is_on"), [(40, False), (20, True)])
async def test_a_reading_that_was_old_when_it_came_counts_from_its_own_time(site, age_s, is_on, monkeypatch):
    start, _, lamps, _ = site
    monkeypatch.setattr(Steady, "measure", lambda *_: replace(LEVEL.good(20), time=-age_s))
    async with start():
        await until(lambda: "sign" in lamps.state)
        await asyncio.sleep(5)
        assert lamps.state["lamp"] is is_on


async def test_what_cannot_be_done_now_is_done_as_soon_as_it_can_be(site):
    start, levels, lamps, _ = site
    lamps.refuses = True
    levels["1"] = 20
    async with start():
        await asyncio.sleep(20)
        assert lamps.state["lamp"] is False
        lamps.refuses = False
        await until(lambda: lamps.state.get("lamp"))


async def test_decisions_are_repeated_for_a_device_that_was_opened_again(site):
    start, levels, lamps, bridges = site
    levels["1"] = 20
    async with start() as running:
        await until(lambda: lamps.state.get("lamp"))
        lamps.done.clear()
        again = {"service": "bench_lamps", "settings": {"port": "y"}}
        running.link.reconfigure(bridges=bridges | {"lamps": again}, rules=[LAMP, SIGN])
        await until(lambda: ("lamp", True) in lamps.done)
        assert lamps.state == {"lamp": True, "sign": True}


async def test_an_output_that_has_no_rule_any_more_goes_to_its_safe_state(site):
    start, levels, lamps, bridges = site
    levels["1"] = 20
    async with start() as running:
        await until(lambda: lamps.state.get("lamp"))
        running.link.reconfigure(bridges=bridges, rules=[SIGN])
        await until(lambda: not lamps.state.get("lamp"))
        assert lamps.state["sign"]


async def test_an_output_that_hangs_holds_up_no_output_of_another_bridge(site):
    start, levels, lamps, bridges = site
    levels["1"] = 20
    other = {"service": "bench_lamps", "settings": {"command_timeout": 3600}}
    hung = asyncio.Event()

    async def execute(self, command):
        await hung.wait()

    async with start(
        bridges=bridges | {"others": other}, rules=[LAMP, SIGN, LAMP | {"output": "others/lamp"}]
    ) as running:
        await until(lambda: lamps.state.get("lamp"))
        before, lamps.execute = lamps.execute, execute
        levels["1"] = 1
        await asyncio.sleep(5)
        lamps.execute = before
        levels["1"] = 20
        await asyncio.sleep(5)
        hung.set()
        await until(lambda: lamps.state.get("lamp"))
        assert running.state("others") in ("open", "reading")
