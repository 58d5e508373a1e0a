"""kernel_sensor on an emulated tree: what is found and read, what goes wrong, which settings are refused."""

import asyncio
import json

import pytest

from device_bridge import Quality, SettingsError
from kernel_sensor.emulated_devices import scaled_device
from kernel_sensor.emulated_profiles import add_profile
from kernel_sensor.emulated_tree import SimulatedSysfs
from kernel_sensor.service import KernelSensor

from .kernel_files import BOARD, ID, a_round, channels, chip, served, values, wire_of
from .serving import bridging, emulated, settings_of

pytestmark = pytest.mark.clock("movable")


@pytest.fixture
def tree(tmp_path):
    return SimulatedSysfs(tmp_path / "sys")


def broken():
    raise OSError(5, "EIO")


async def test_a_chip_by_driver_with_units_of_each_kind(tree):
    chip(tree)
    told = BOARD | {"channels": channels(cpu="temp1", fan="fan1", core="in0")}
    async with served(tree, told) as bridged:
        found = await bridged.sample()
        assert values(found) == {"board/cpu": 41, "board/fan": 1180, "board/core": 1.1}
        assert {name: one.unit for name, one in found.items()} == {
            "board/cpu": "Cel",
            "board/fan": "1/min",
            "board/core": "V",
        }


async def test_a_channel_by_its_label(tree):
    chip(tree, temp1_label="SYSTIN\n", temp2_input="50000\n", temp2_label="CPUTIN\n")
    told = BOARD | {"channels": channels(cpu="temp:CPUTIN", system="temp:SYSTIN")}
    async with served(tree, told) as bridged:
        assert values(await bridged.sample()) == {"board/cpu": 50, "board/system": 41}


async def test_an_alarm_is_reported_and_a_fault_is_no_value(tree):
    device = chip(tree, temp1_max_alarm="0\n", temp1_fault="0\n", fan1_alarm="0\n")
    async with served(tree, BOARD) as bridged:
        assert values(await bridged.sample())["board/cpu/alarm"] is False
        device.files["temp1_max_alarm"] = "1\n"
        found = await bridged.sample()
        assert (values(found)["board/cpu/alarm"], values(found)["board/cpu"]) == (True, 41)
        device.files["temp1_fault"] = "1\n"
        found = await bridged.sample()
        assert (found["board/cpu"].quality, found["board/fan"].quality) == (Quality.BAD, Quality.GOOD)
        assert "temp1_fault" in found["board/cpu"].reason


async def test_a_device_that_comes_back_under_another_number_is_found_again(tree):
    chip(tree)
    chip(tree, "other", "coretemp", "devices/platform/coretemp.0", celsius=77)
    async with served(tree, BOARD) as bridged:
        assert values(await bridged.sample())["board/cpu"] == 41
        tree.execute("renumber board 1")
        found = await bridged.sample()
        while found["board/cpu"].quality is Quality.BAD:
            found = await bridged.sample()
        assert values(found)["board/cpu"] == 41


async def test_a_channel_that_has_another_label_now_is_not_taken_for_it(tree):
    device = chip(tree, temp1_label="CPUTIN\n", temp2_input="50000\n", temp2_label="SYSTIN\n")
    async with served(tree, BOARD | {"channels": channels(cpu="temp:CPUTIN")}) as bridged:
        assert values(await bridged.sample()) == {"board/cpu": 41}
        device.files |= {"temp1_label": "SYSTIN\n", "temp2_label": "CPUTIN\n"}
        assert [values(await bridged.sample())["board/cpu"] for _ in range(2)] in ([None, 50], [50, 50])


async def test_a_channel_that_its_driver_has_later_is_found(tree):
    device = chip(tree)
    async with served(tree, BOARD | {"channels": channels(cpu="temp1", other="temp2")}) as bridged:
        assert values(await bridged.sample()) == {"board/cpu": 41, "board/other": None}
        device.files["temp2_input"] = "50000\n"
        assert values(await bridged.sample()) == {"board/cpu": 41, "board/other": 50}


async def test_an_alarm_that_cannot_be_read_is_not_taken_for_none(tree):
    device = chip(tree, temp1_max_alarm="0\n")
    async with served(tree, BOARD) as bridged:
        assert values(await bridged.sample())["board/cpu/alarm"] is False
        device.files["temp1_max_alarm"] = broken
        found = await bridged.sample()
        assert (found["board/cpu"].value, found["board/cpu/alarm"].quality) == (41, Quality.BAD)


async def test_another_device_under_its_number_and_place_is_not_taken_for_it(tree):
    tree.add("zone", scaled_device("thermal", "devices/virtual/thermal", "cpu-thermal", {"t": ("temp", 1e3, 50)}))
    other = scaled_device("thermal", "devices/virtual/thermal", "gpu-thermal", {"t": ("temp", 1e3, 90)})
    tree.add("other", other)
    async with served(tree, {"profile": "cpu_thermal"}) as bridged:
        await bridged.sample()
        tree.execute("renumber zone 1")
        tree.execute("absent zone on")
        assert (await bridged.sample())["temperature"].quality is Quality.BAD
        tree.execute("absent zone off")
        assert (await bridged.sample())["temperature"].value < 60


async def test_of_two_that_fit_none_is_taken_until_a_place_tells_them_apart(tree):
    chip(tree, "a", "lm75", "devices/platform/i2c-1/1-0048", celsius=20)
    chip(tree, "b", "lm75", "devices/platform/i2c-1/1-0049", celsius=30)
    async with served(tree, {"profile": "lm75", "name": "x"}) as bridged:
        found = (await bridged.sample())["x/temperature"]
        assert found.quality is Quality.BAD
        assert "2 fit" in found.reason
        assert "1-0049" in found.reason
    async with served(tree, {"profile": "lm75", "name": "x", "device": "1-0049"}) as bridged:
        assert values(await bridged.sample()) == {"x/temperature": 30}


async def test_what_is_not_there_is_reported_with_what_is_and_then_found(tree):
    chip(tree, driver="coretemp")
    async with served(tree, BOARD) as bridged:
        found = (await bridged.sample())["board/cpu"]
        assert "not among coretemp (devices/platform/board.0/hwmon/hwmon0)" in found.reason
        chip(tree, "late", celsius=42, parent="devices/platform/late.0")
        assert values(await bridged.sample())["board/cpu"] == 42


async def test_one_file_that_fails_is_one_bad_value(tree):
    device = chip(tree)
    device.files["fan1_input"] = broken
    async with served(tree, BOARD) as bridged:
        found = await bridged.sample()
        assert (found["board/fan"].quality, found["board/cpu"].value) == (Quality.BAD, 41)
        assert "fan1_input" in found["board/fan"].reason


async def test_no_value_yet_is_asked_for_again(tree):
    chip(tree)
    tree.execute("again board 2")
    async with served(tree, BOARD) as bridged:
        assert values(await bridged.sample()) == {"board/cpu": 41, "board/fan": 1180}


@pytest.mark.parametrize(
    "fault", ["empty board on", "cut board 2", "text board N/A", "text board 12", "fail board EIO", "delay board 30"]
)
async def test_a_fault_is_reported_and_then_it_goes_on(tree, fault):
    chip(tree)
    async with served(tree, BOARD) as bridged:
        await bridged.sample()
        assert tree.execute(fault) == "ok"
        found = await bridged.sample()
        assert values(found) == {"board/cpu": None, "board/fan": None}, "and no alarm that it does not have"
        assert all(one.reason for one in found.values())
        for heal in ("empty board off", "cut board -1", "text board ''", "fail board 0", "delay board 0"):
            assert tree.execute(heal) == "ok"
        assert values(await bridged.sample()) == {"board/cpu": 41, "board/fan": 1180}


async def test_what_is_discovered_can_be_pasted_into_settings(tree):
    wire_of(tree, 2)
    chip(tree, temp1_label="SYSTIN\n")
    chip(tree, "second", parent="devices/platform/board.1")
    add_profile(tree, "dht", "dht22")
    async with served(tree, discover=True) as bridged:
        told = json.loads(values(await bridged.sample())["discovered"])["sensors"]
        assert [one["kind"] for one in told] == ["hwmon", "hwmon", "iio", "w1", "w1"]
        add_profile(tree, "cpu", "cpu_thermal")
        assert "cpu-thermal" in values(await bridged.sample())["discovered"]
    assert not [one for one in told if "hwmon0" in json.dumps(one)], "no number that moves"
    async with served(tree, *told) as bridged:
        found = await a_round(bridged, 3 + 3 + 2 + 2)
        assert {one.quality for one in found.values()} == {Quality.GOOD}
        assert found["nct6775/temp_SYSTIN"].value == 41


REFUSED = [
    ([], "List sensors"),
    ([{"kind": "hwmon", "channels": channels(a="temp1")}], "does not say which device"),
    ([{"driver": "lm75", "channels": channels(a="temp1")}], "kind: is missing"),
    ([BOARD | {"channels": []}], "channels: is empty"),
    ([BOARD | {"channels": channels(a="../../../etc/passwd")}], "is no channel of hwmon"),
    ([BOARD | {"channels": channels(a="pwm1")}], "is no channel of hwmon"),
    ([BOARD | {"device": "devices/platform/hwmon/hwmon2"}], "hwmon2 is another one at the next boot"),
    ([BOARD, BOARD], "Give every sensor a name of its own"),
    ([BOARD | {"resolution": 9}], "is for w1 alone"),
    ([{"profile": "dht22", "interval": 0.5}], "Write 2 or more"),
    ([{"profile": "ds18b20", "id": ID.format(1), "interval": 5}], "cannot be one sensor's"),
    ([{"profile": "dht22", "kind": "hwmon"}], "is not that of the profile"),
    ([{"profile": "ds18b20", "id": "28-../../x"}], "sensors"),
]


@pytest.mark.parametrize(("sensors", "told"), REFUSED)
async def test_settings_that_cannot_be_say_why(sensors, told):
    with pytest.raises(SettingsError, match=told):
        KernelSensor.check_settings(settings_of(KernelSensor, sensors=sensors))


@pytest.mark.parametrize("path", ["/etc", "sys", "/sys/../etc", "/sys/devices", ""])
async def test_no_path_but_that_of_sysfs(path):
    with pytest.raises(SettingsError, match="path"):
        settings_of(KernelSensor, sensors=[BOARD], path=path)


@pytest.mark.clock("real")
async def test_a_tree_in_another_process_is_read_and_its_faults_come_by_command():
    async with emulated("kernel_sensor", "--sensors", "2") as emulator:
        settings = settings_of(KernelSensor, **emulator.settings | {"interval": 0.05})
        async with bridging(KernelSensor, settings) as bridged:
            found = await bridged.sample(lambda found: "tank2/temperature" in found)
            assert values(found) == {"tank2/temperature": 20.5}
            assert await emulator.tell("fail battery ENODATA") == "ok"
            found = await bridged.sample(lambda found: getattr(found.get("battery/charge"), "value", 1) is None)
            assert "ENODATA" in found["battery/charge"].reason
            assert "no error" in await emulator.tell("fail battery EFOO")
            ticks = 0
            async with asyncio.timeout(30):
                assert await emulator.tell("delay battery 0.3") == "ok"
                while ticks < 3:
                    ticks += "tank1/temperature" in await bridged.sample()


async def test_a_sampling_frequency_is_set(tree):
    device = add_profile(tree, "adc", "ads1015")
    device.files["sampling_frequency"] = "250\n"
    device.stores["sampling_frequency"] = lambda text: device.files.update(sampling_frequency=text)
    async with served(tree, {"profile": "ads1015", "sampling_frequency": 860}) as bridged:
        await bridged.sample()
        assert device.files["sampling_frequency"] == "860\n"


async def test_two_sensors_of_a_driver_by_their_nodes_in_the_device_tree(tree):
    for name, celsius in (("a", 10), ("b", 30)):
        add_profile(tree, name, "dht22").measured("temperature", celsius)
    told = [{"profile": "dht22", "name": n, "device": f"dht11@{at}"} for n, at in (("x", "41"), ("y", "40"))]
    async with served(tree, *told) as bridged:
        found = await a_round(bridged, 4)
        assert (found["x/temperature"].value, found["y/temperature"].value) == (30, 10)
