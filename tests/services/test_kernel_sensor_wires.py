"""kernel_sensor's thermometers on a wire, and the pages of its parts."""

import errno
import json
import tomllib
from pathlib import Path

import pytest

from device_bridge import Quality
from kernel_sensor.emulated_devices import Wire
from kernel_sensor.emulated_profiles import add_profile
from kernel_sensor.emulated_tree import SimulatedSysfs
from kernel_sensor.service import KernelSensor

from ..movable_clock import now
from .kernel_files import BOARD, ID, a_round, chip, served, thermometers, values, wire_of
from .serving import settings_of

pytestmark = pytest.mark.clock("movable")


@pytest.fixture
def tree(tmp_path):
    return SimulatedSysfs(tmp_path / "sys")


async def test_twenty_thermometers_on_a_wire_convert_at_once(tree):
    wire = wire_of(tree, 20)
    async with served(tree, *thermometers(20)) as bridged:
        start = now()
        found = await a_round(bridged, 20)
        assert values(found) == {f"t{n}/temperature": 20 + n / 2 for n in range(20)}
        assert now() - start < 1, "one conversion takes 0.75 s"
        assert (wire.bulk_conversions, wire.conversions) == (1, 0)


async def test_one_that_fails_costs_the_others_on_its_wire_nothing(tree):
    wire = wire_of(tree, 20)
    async with served(tree, *thermometers(20)) as bridged:
        await a_round(bridged, 20)
        tree.execute("fail t3 EIO")
        for n in range(20):
            tree.execute(f"set t{n}/temperature {30 + n / 2}")
        others, before = {}, wire.conversions
        while len(others) < 19:
            found = await bridged.sample()
            assert {one.quality for one in found.values()} == {Quality.GOOD}, "the others come first"
            others |= found
        assert (await bridged.sample())["t3/temperature"].quality is Quality.BAD
        assert values(others)["t19/temperature"] == 39.5
        for _ in range(3):
            start = now()
            assert len(await a_round(bridged, 19)) == 19
            assert now() - start < 11
        assert wire.conversions == before, "nothing of the wire's time went to it"
        tree.execute("fail t3 0")
        found = await bridged.sample(lambda found: "t3/temperature" in found)
        assert values(found) == {"t3/temperature": 31.5}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("noisy", "CRC"), ("shorted", "held low"), ("undersupplied", "power-on")],
)
async def test_what_a_thermometer_gives_for_a_temperature_and_is_none(tree, fault, reason):
    wire_of(tree, 2)
    async with served(tree, *thermometers(2)) as bridged:
        await a_round(bridged, 2)
        tree.execute(f"set t0/{fault} 1")
        found = (await bridged.sample(lambda found: "t0/temperature" in found))["t0/temperature"]
        assert (found.value, found.quality) == (None, Quality.BAD)
        assert reason in found.reason
        tree.execute(f"set t0/{fault} 0")
        assert values(await bridged.sample(lambda found: "t0/temperature" in found)) == {"t0/temperature": 20}


async def test_85_degrees_that_were_measured_are_good(tree):
    wire_of(tree, 1)
    tree.execute("set t0/temperature 85")
    async with served(tree, *thermometers(1)) as bridged:
        assert values(await bridged.sample()) == {"t0/temperature": 85}


async def test_a_wire_without_bulk_conversion_is_read_in_turn(tree):
    wire = wire_of(tree, 3, bulk=False)
    async with served(tree, *thermometers(3)) as bridged:
        start = now()
        assert len(await a_round(bridged, 3)) == 3
        assert (wire.bulk_conversions, wire.conversions) == (0, 3)
        assert now() - start == pytest.approx(3 * 0.75, abs=0.1)


@pytest.mark.parametrize(("count", "is_root"), [(1, True), (2, False)])
async def test_what_an_earlier_conversion_has_left_unread_is_not_a_temperature_of_now(tree, count, is_root):
    wire = wire_of(tree, 2)
    assert await tree.answer("write", f"{wire.path}/therm_bulk_read", "trigger\n") is None
    tree.folders[wire.path][1].update({} if is_root else {"therm_bulk_read": refuse})
    for n in range(2):
        tree.execute(f"set t{n}/temperature {50 + n}")
    async with served(tree, *thermometers(count)) as bridged:
        assert values(await a_round(bridged, count)) == {f"t{n}/temperature": 50 + n for n in range(count)}


def refuse(_):
    raise PermissionError(errno.EACCES, "no")


async def test_a_slow_wire_keeps_neither_another_wire_nor_a_chip_waiting(tree):
    wire_of(tree, 1)
    other = Wire(tree, 2)
    other.add("far", ID.format(99))
    chip(tree)
    tree.execute("delay far 60")
    told = {"profile": "ds18b20", "name": "far", "id": ID.format(99)}
    async with served(tree, *thermometers(1), told, BOARD) as bridged:
        for _ in range(4):
            start = now()
            await bridged.sample(lambda found: "t0/temperature" in found)
            await bridged.sample(lambda found: "board/cpu" in found)
            assert now() - start < 11


async def test_the_resolution_is_set_and_its_time_is_kept(tree):
    wire = wire_of(tree, 2)
    tree.execute("set t0/temperature 20.3125")
    told = [one | {"resolution": 9} for one in thermometers(2)]
    async with served(tree, *told) as bridged:
        start = now()
        assert values(await a_round(bridged, 2)) == {"t0/temperature": 20, "t1/temperature": 20.5}
        assert now() - start == pytest.approx(0.094, abs=0.01)
        assert {one.resolution for one in wire.thermometers.values()} == {9}


async def test_a_resolution_that_went_with_the_supply_is_set_again(tree):
    thermometer = wire_of(tree, 1).thermometers["t0"]
    async with served(tree, thermometers(1)[0] | {"resolution": 9}) as bridged:
        await bridged.sample()
        tree.execute("set t0/undersupplied 1")
        await bridged.sample()
        assert thermometer.resolution == 12
        tree.execute("set t0/undersupplied 0")
        assert values(await bridged.sample()) == {"t0/temperature": 20}
        assert thermometer.resolution == 9


async def test_a_setting_that_cannot_be_set_is_counted_and_the_sensor_read(tree, caplog):
    device = wire_of(tree, 1).thermometers["t0"].device
    device.stores.clear()
    async with served(tree, {"profile": "ds18b20", "name": "t0", "id": ID.format(1), "resolution": 9}) as bridged:
        assert values(await bridged.sample()) == {"t0/temperature": 20}
        assert "resolution = 9 is not set: access denied" in caplog.text


async def test_members_and_counters_are_reported(tree):
    wire_of(tree, 2)
    async with served(tree, *thermometers(2)) as bridged:
        await a_round(bridged, 2)
        text = "\n".join(map(str, bridged.metrics()))
        for wanted in ("bulk_conversions", "sysfs_reads", "t1"):
            assert wanted in text


README = (Path(__file__).parents[2] / "services/kernel_sensor/README.md").read_text()


@pytest.mark.parametrize("part", ["DS18B20", "DHT22"])
async def test_the_page_of_a_part_is_as_it_is(tree, part):
    chapter = README.split(f"## {part}\n")[1].split("\n## ")[0]
    told = tomllib.loads(chapter.split("```toml\n")[1].split("```")[0])
    if part == "DS18B20":
        wire = Wire(tree)
        for n, celsius in enumerate((20.25, 61.5), 1):
            wire.add(f"t{n}", f"28-000a1b2c{n:04x}", celsius)
    else:
        device = add_profile(tree, "dht", "dht22")
        device.measured("temperature", 21.3)
        device.measured("humidity", 45.4)
    async with served(tree, *told.pop("sensors"), **told) as bridged:
        found = await bridged.sample()
    arrives = json.loads(chapter.split("```json\n")[1].split("```")[0])
    shown = [(one["n"], one["u"], one["v"]) for one in arrives]
    assert shown == [(one.name, one.unit, one.value) for one in found.values()]


async def test_examples_of_other_devices_can_be_used():
    chapter = README.split("## Other devices\n")[1]
    told = tomllib.loads(chapter.split("```toml\n")[1].split("```")[0])
    KernelSensor.check_settings(settings_of(KernelSensor, **told))
