"""kernel_sensor on files of real drivers: w1_therm, lm75 on i2c-stub, IIO's dummy, test_power and its zone."""

import asyncio
import contextlib
import re
import subprocess
from pathlib import Path

import pytest
from smbus2 import SMBus

from device_bridge import Quality
from kernel_sensor.service import KernelSensor

from ..services.serving import bridging, settings_of

README = Path(__file__).parents[2] / "services/kernel_sensor/README.md"
I2C = Path("/sys/bus/i2c/devices/i2c-0")
SIMULATED = Path("/sys/module/w1_sim/parameters")
THERMOMETERS = [{"profile": "ds18b20", "name": f"t{n}", "id": f"28-{n + 1:012x}", "resolution": 9} for n in range(20)]


def served(*sensors, **members):
    return bridging(KernelSensor, settings_of(KernelSensor, sensors=sensors, **{"interval": 0.5} | members))


def values(found):
    return {name: reading.value for name, reading in found.items()}


async def a_round(bridged, count):
    found = {}
    while len(found) < count:
        found |= await bridged.sample()
    return found


@pytest.fixture
def simulated():
    """Sets parameters of the wire, and sets them back."""
    before = {}

    def tell(**parameters):
        for name, value in parameters.items():
            before.setdefault(name, (SIMULATED / name).read_text())
            (SIMULATED / name).write_text(value if isinstance(value, str) else f"{value}\n")

    yield tell
    for name, value in before.items():
        (SIMULATED / name).write_text(value)


def count(name):
    return int((SIMULATED / name).read_text())


async def test_twenty_thermometers_of_w1_therm_convert_at_once(simulated):
    simulated(raw=",".join(str(n * 16 - 80) for n in range(20)))
    alone, together = count("conversions"), count("bulk_conversions")
    async with served(*THERMOMETERS) as bridged:
        found = await a_round(bridged, 20)
        assert values(found) == {f"t{n}/temperature": n - 5 for n in range(20)}
        assert (count("conversions"), count("bulk_conversions") >= together + 1) == (alone, True)
    assert Path("/sys/bus/w1/devices/28-000000000001/resolution").read_text() == "9\n"


@pytest.mark.parametrize(("fault", "reason"), [("noisy", "checksum"), ("undersupplied", "power-on"), ("absent", "")])
async def test_one_thermometer_that_fails_costs_the_others_nothing(simulated, fault, reason):
    async with served(*THERMOMETERS) as bridged:
        await a_round(bridged, 20)
        simulated(**{fault: 3})
        found = await bridged.sample(lambda found: getattr(found.get("t3/temperature"), "value", 0) is None)
        assert found["t3/temperature"].quality is Quality.BAD
        assert reason in found["t3/temperature"].reason
        others = await a_round(bridged, 19)
        assert {one.quality for one in others.values()} == {Quality.GOOD}
        simulated(**{fault: -1})
        await bridged.sample(lambda found: getattr(found.get("t3/temperature"), "value", None) is not None)


@contextlib.contextmanager
def lm75(*addresses):
    """Has the kernel take chips of i2c-stub for LM75."""
    for address in addresses:
        (I2C / "new_device").write_text(f"lm75 0x{address:02x}\n")
    try:
        yield
    finally:
        for address in addresses:
            with contextlib.suppress(OSError):
                (I2C / "delete_device").write_text(f"0x{address:02x}\n")


def measures(address, celsius):
    with SMBus(0, force=True) as bus:
        bus.write_word_data(address, 0, int.from_bytes((round(celsius * 256) & 0xFFFF).to_bytes(2, "big"), "little"))


def test_the_rule_for_udev_lets_the_images_group_convert_all_and_set_a_resolution():
    sensor = Path("/sys/bus/w1/devices", THERMOMETERS[0]["id"]).resolve()
    rule = re.search(r"RUN\+=\"/bin/sh -c '(.+)'\"", README.read_text())[1]
    as_udev = rule.replace("%p", str(sensor).removeprefix("/sys")).replace("$$", "$")
    as_service = "echo trigger > ../therm_bulk_read && echo 9 > resolution"
    owned = {"cwd": sensor, "user": 10001, "group": 10001, "extra_groups": []}
    assert subprocess.run(["/bin/sh", "-c", as_service], check=False, **owned).returncode != 0
    subprocess.run(["/bin/sh", "-c", as_udev], check=True)
    subprocess.run(["/bin/sh", "-c", as_service], check=True, **owned)


async def test_an_lm75_by_its_place_whatever_number_it_has():
    measures(0x4A, 25)
    measures(0x4B, 40)
    told = {"profile": "lm75", "name": "board", "device": "0-004a"}
    with lm75(0x4A):
        async with served(told, max_retry_interval=1) as bridged:
            assert values(await bridged.sample()) == {"board/temperature": 25}
            measures(0x4A, -12.5)
            await bridged.sample(lambda found: values(found) == {"board/temperature": -12.5})
            (I2C / "delete_device").write_text("0x4a\n")
            assert await bridged.sample(lambda found: values(found) == {"board/temperature": None})
            with lm75(0x4B, 0x4A):  # the other has its number now
                assert values(await bridged.sample()) == {"board/temperature": -12.5}


async def test_iios_dummy_has_offset_scale_and_differential_channels():
    folder = Path("/sys/kernel/config/iio/devices/dummy/adc")
    folder.mkdir()
    channels = [{"name": "one", "channel": "voltage0"}, {"name": "two", "channel": "voltage1-voltage2"}]
    try:
        async with served({"kind": "iio", "driver": "adc", "channels": channels}) as bridged:
            found = await bridged.sample()
            assert found["one"].value == pytest.approx((73 + 7) * 0.001333e-3)
            assert found["two"].value == pytest.approx(33 * 0.000001344e-3)
            assert {one.unit for one in found.values()} == {"V"}
    finally:
        folder.rmdir()


async def test_a_battery_and_its_thermal_zone():
    battery = {"kind": "power_supply", "driver": "test_battery", "name": "battery"}
    battery["channels"] = [{"name": name, "channel": name} for name in ("capacity", "status", "temp", "current_now")]
    async with served(battery, {"kind": "thermal", "driver": "test_battery", "name": "zone"}) as bridged:
        assert values(await a_round(bridged, 5)) == {
            "battery/capacity": 50,
            "battery/status": "Discharging",
            "battery/temp": 2.6,
            "battery/current_now": -0.0016,
            "zone/temperature": 2.6,
        }


async def test_all_of_it_is_discovered():
    async with served(discover=True) as bridged, asyncio.timeout(30):
        told = values(await bridged.sample())["discovered"]
        for wanted in ("28-000000000014", "test_battery", '"kind":"thermal"', '"kind":"hwmon"'):
            assert wanted in told
