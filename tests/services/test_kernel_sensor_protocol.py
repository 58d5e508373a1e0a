"""Files of sysfs as values: each class, and whatever else may be in them."""

import errno
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import DeviceError, Quality
from device_bridge.buses import attached
from device_bridge.settings import profile_names, read_profile
from kernel_sensor.emulated_devices import Wire
from kernel_sensor.emulated_profiles import add_profile
from kernel_sensor.emulated_tree import SimulatedSysfs
from kernel_sensor.protocol import CLASSES, Fault, evaluate
from kernel_sensor.protocol.iio import frequency_file
from kernel_sensor.protocol.one_wire import temperature
from kernel_sensor.service import KernelSensor
from kernel_sensor.sysfs import PAGE, KernelFiles, Sysfs

from .serving import bridging, settings_of


def value_of(kind, channel, **contents):
    """What a device with these files gives for a channel."""
    return evaluate(CLASSES[kind].recipe(channel, contents.keys(), {}), contents)


@pytest.mark.parametrize(
    ("kind", "channel", "files", "unit", "value"),
    [
        ("hwmon", "temp1", {"temp1_input": "-12500\n"}, "Cel", -12.5),
        ("hwmon", "in0", {"in0_input": "1104\n"}, "V", 1.104),
        ("hwmon", "fan2", {"fan2_input": "1180\n"}, "1/min", 1180),
        ("hwmon", "curr1", {"curr1_input": "-250\n"}, "A", -0.25),
        ("hwmon", "power1", {"power1_average": "1500000\n"}, "W", 1.5),
        ("hwmon", "energy1", {"energy1_input": "2500000\n"}, "J", 2.5),
        ("hwmon", "humidity1", {"humidity1_input": "45500\n"}, "%RH", 45.5),
        ("iio", "temp", {"in_temp_input": "21300\n"}, "Cel", 21.3),
        ("iio", "pressure", {"in_pressure_input": "101.325000000\n"}, "Pa", 101325),
        ("iio", "voltage0", {"in_voltage0_raw": "1100\n", "in_voltage_scale": "3.000000\n"}, "V", 3.3),
        (
            "iio",
            "voltage0-voltage1",
            {"in_voltage0-voltage1_raw": "-20\n", "in_voltage-voltage_scale": "0.125000\n"},
            "V",
            -0.0025,
        ),
        (
            "iio",
            "temp_object",
            {"in_temp_object_raw": "14657\n", "in_temp_scale": "20\n", "in_temp_object_offset": "-13657.500000\n"},
            "Cel",
            19.99,
        ),
        ("iio", "concentration_co2", {"in_concentration_co2_input": "0.041200000\n"}, "ppm", 412),
        ("iio", "accel_x", {"in_accel_x_raw": "-16384\n", "in_accel_scale": "0.000598550\n"}, "m/s2", -9.8066432),
        (
            "iio",
            "anglvel_x",
            {"in_anglvel_x_raw": "100\n", "in_anglvel_scale": "0.031415927\n"},
            "deg/s",
            3.1415927 * 57.29577951308232,
        ),
        ("iio", "magn_z", {"in_magn_z_raw": "400\n", "in_magn_scale": "0.001\n"}, "T", 0.00004),
        ("iio", "voltage0_mean", {"in_voltage0_mean_raw": "2\n", "in_voltage0_scale": "500\n"}, "V", 1),
        ("iio", "temp", {"in_temp_raw": "1\n", "in_offset": "2\n", "scale": "500\n"}, "Cel", 1.5),
        ("iio", "count0", {"in_count0_raw": "12\n"}, "count", 12),
        ("thermal", "temp", {"temp": "48692\n"}, "Cel", 48.692),
        ("power_supply", "current_now", {"current_now": "-1500000\n", "present": "1\n"}, "A", -1.5),
        ("power_supply", "temp", {"temp": "231\n"}, "Cel", 23.1),
        ("power_supply", "energy_now", {"energy_now": "45000000\n"}, "Wh", 45),
        ("power_supply", "status", {"status": "Not charging\n"}, "", "Not charging"),
        ("power_supply", "online", {"online": "1\n"}, "", True),
    ],
)
def test_units_signs_and_scales(kind, channel, files, unit, value):
    assert value_of(kind, channel, **files) == (pytest.approx(value, abs=1e-9) if unit else value, "", None)
    assert CLASSES[kind].measure(channel).unit == unit


@pytest.mark.parametrize(
    "text", ["", "\n", "N/A\n", "nan\n", "inf\n", "0x12\n", "1e5\n", "12", "1 2\n", "--1\n", "١٢\n", "9" * 40 + "\n"]
)
def test_what_is_no_number_is_no_value(text):
    found = value_of("hwmon", "temp1", temp1_input=text)
    assert (found.value, bool(found.reason)) == (None, True)


def test_whether_it_is_valid_comes_after_the_value():
    recipe = CLASSES["hwmon"].recipe("temp1", {"temp1_fault", "temp1_input"}, {})
    assert recipe.files == ["temp1_input", "temp1_fault"]


@pytest.mark.parametrize(
    ("kind", "files", "reason"),
    [
        ("hwmon", {"temp1_input": "1\n", "temp1_fault": "1\n"}, "temp1_fault"),
        ("hwmon", {"temp1_input": "1\n", "temp1_fault": errno.EIO}, "EIO"),
        ("iio", {"in_temp1_raw": "1\n", "in_temp1_scale": errno.EIO}, "in_temp1_scale"),
        ("thermal", {"temp": "-274000\n"}, "no temperature yet"),
        ("power_supply", {"temp": "1\n", "present": "0\n"}, "not present"),
    ],
)
def test_what_says_that_the_value_means_nothing(kind, files, reason):
    channel = "temp" if kind in ("thermal", "power_supply") else "temp1"
    found = value_of(kind, channel, **files)
    assert (found.value, reason in found.reason) == (None, True)


@pytest.mark.parametrize("channel", ["voltage0", "temp", "illuminance", "humidityrelative"])
def test_a_raw_value_of_unknown_scale_is_no_value(channel):
    with pytest.raises(Fault, match="has no scale"):
        value_of("iio", channel, **{f"in_{channel}_raw": "1100\n", "in_other_scale": "2\n"})


@pytest.mark.parametrize("channel", ["status", "health", "capacity_level"])
def test_a_state_that_the_driver_does_not_know_is_no_value(channel):
    assert value_of("power_supply", channel, **{channel: "Unknown\n"}) == (None, "the driver does not know it", None)


@pytest.mark.parametrize(
    ("low", "high", "alarm"), [("0\n", "0\n", False), ("1\n", errno.EIO, True), ("0\n", errno.EIO, None)]
)
def test_that_no_limit_is_passed_takes_all_of_its_alarms(low, high, alarm):
    assert value_of("hwmon", "in0", in0_input="1\n", in0_min_alarm=low, in0_max_alarm=high).alarm is alarm


def test_channels_and_frequency_files():
    iio = {
        "in_voltage0_raw",
        "in_voltage_scale",
        "in_voltage0-voltage1_raw",
        "name",
        "in_temp_ambient_input",
        "in_x_raw",
    }
    assert CLASSES["iio"].channels(iio) == ["temp_ambient", "voltage0", "voltage0-voltage1"]
    hwmon = {"temp10_input", "temp2_input", "fan1_input", "pwm1", "temp2_max", "temp3_label"}
    assert CLASSES["hwmon"].channels(hwmon) == ["fan1", "temp2", "temp10"]
    assert frequency_file(["voltage0"], {"sampling_frequency"}) == "sampling_frequency"
    assert frequency_file(["voltage0"], {"in_voltage_sampling_frequency"}) == "in_voltage_sampling_frequency"
    assert frequency_file(["voltage0"], {"in_temp_sampling_frequency"}) == ""


@pytest.mark.parametrize("channel", ["", "temp", "temp1_input", "../x", "temp1/../x", "in_temp_raw", "temp:", "pwm1"])
def test_what_is_no_channel_of_hwmon(channel):
    assert CLASSES["hwmon"].measure(channel) is None


@pytest.mark.parametrize("channel", ["", "voltage0_raw", "temp_scale", "../voltage0", "voltagex", "voltage0/x"])
def test_what_is_no_channel_of_iio(channel):
    assert CLASSES["iio"].measure(channel) is None


def thermometer(folder, celsius=21.5):
    one = Wire(SimulatedSysfs(folder / "sys")).add("t", "28-00000a1b2c3d", celsius)
    one.convert()
    return one


@given(st.floats(-55, 125))
def test_a_thermometers_text_is_what_it_measured(tmp_path_factory, celsius):
    assert (
        abs(temperature(thermometer(tmp_path_factory.mktemp("t"), celsius).text()) / 1000 - celsius) <= 1 / 32 + 1e-3
    )


@given(st.data())
def test_damage_to_a_thermometers_text_is_never_another_temperature(tmp_path_factory, data):
    text = thermometer(tmp_path_factory.mktemp("t")).text()
    scratchpad = text[: text.index(":")]
    at = data.draw(st.integers(0, len(scratchpad) - 2))
    damaged = text[:at] + data.draw(st.sampled_from("0123456789abcdef x")) + text[at + 1 :]
    cut = damaged[: data.draw(st.integers(0, len(damaged)))]
    for one in (damaged, cut):
        try:
            found = temperature(one)
        except Fault:
            continue
        assert found == 21_500


@given(st.binary(max_size=60).map(lambda data: data.decode("latin-1")))
def test_whatever_is_in_a_file_is_a_value_or_a_reason(text):
    for kind, channel in (("hwmon", "temp1"), ("power_supply", "status"), ("power_supply", "online")):
        file = "temp1_input" if kind == "hwmon" else channel
        found = value_of(kind, channel, **{file: text})
        assert (found.value is None) == bool(found.reason)
    with pytest.raises(Fault):
        temperature(text)


@pytest.mark.parametrize("profile", profile_names("kernel_sensor"))
@pytest.mark.clock("movable")
async def test_each_profile_reads_what_its_device_measures(profile, tmp_path):
    tree = SimulatedSysfs(tmp_path / "sys")
    device = add_profile(tree, "x", profile)
    with attached(str(tree.path), tree):
        settings = settings_of(KernelSensor, path=f"sim:{tree.path}", sensors=[{"profile": profile}])
        async with bridging(KernelSensor, settings) as bridged:
            found = await bridged.sample()
            assert {one.quality for one in found.values()} == {Quality.GOOD}
            for channel in read_profile("kernel_sensor", profile)["channels"]:
                assert found[channel["name"]].unit == channel.get("unit", "")
                for share in (0.0, 0.3, 1.0) if "valid" in channel else ():
                    low, high = channel["valid"]
                    wanted = low + (high - low) * share
                    device.measured(channel["name"], wanted)
                    reading = (await bridged.sample())[channel["name"]]
                    assert reading.value == pytest.approx(wanted, abs=(high - low) / 1000)
                    assert reading.quality is Quality.GOOD


@pytest.fixture
def folder(tmp_path):
    """A plain folder in the form of sysfs."""
    chip = tmp_path / "sys/devices/platform/board.0/hwmon/hwmon3"
    chip.mkdir(parents=True)
    (tmp_path / "sys/class/hwmon").mkdir(parents=True)
    (tmp_path / "sys/class/hwmon/hwmon3").symlink_to(chip)
    (chip / "name").write_text("nct6775\n")
    (chip / "temp1_input").write_text("41000\n")
    return tmp_path / "sys"


async def test_the_kernels_files_are_read_in_a_thread(folder):
    told = {"kind": "hwmon", "driver": "nct6775", "channels": [{"name": "cpu", "channel": "temp1"}]}
    settings = settings_of(KernelSensor, path=str(folder), sensors=[told], interval=0.05)
    async with bridging(KernelSensor, settings) as bridged:
        assert (await bridged.sample())["cpu"].value == 41
        (folder / "devices/platform/board.0/hwmon/hwmon3/temp1_input").write_text("42000\n")
        await bridged.sample(lambda found: found["cpu"].value == 42)


async def test_links_and_files_that_are_no_values(folder):
    files = KernelFiles(str(folder))
    assert await files.real("class/hwmon/hwmon3") == "devices/platform/board.0/hwmon/hwmon3"
    (folder / "class/hwmon/hwmon4").symlink_to("/etc")
    (folder / "class/hwmon/hwmon5").symlink_to("hwmon5")
    (folder / "long").write_text("1" * (PAGE + 1))
    (folder / "binary").write_bytes(b"\xff\xfe\n")
    os.mkfifo(folder / "pipe")
    for path, what, number in (
        ("class/hwmon/hwmon4", files.real, errno.EXDEV),
        ("class/hwmon/hwmon5", files.real, errno.ELOOP),
        ("class/hwmon/hwmon9", files.real, errno.ENOENT),
        ("long", files.read, errno.EFBIG),
        ("binary", files.read, errno.EBADMSG),
        ("class", files.read, errno.EISDIR),
    ):
        with pytest.raises(OSError, match=re.escape(os.strerror(number)) if number != errno.EXDEV else "out of"):
            await what(path)
    assert await files.read("pipe") == "", "nobody waits for a pipe"


async def test_a_folder_that_is_not_there_or_not_sysfs(tmp_path):
    for make in (lambda: None, (tmp_path / "sys").mkdir):
        make()
        with pytest.raises(DeviceError, match="sys"):
            await Sysfs(str(tmp_path / "sys"), 1).open()
