"""Chips as they are met in the field: noise, resets, codings, flags, formulas, other shunts and gains."""

import asyncio
import math
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import DeviceError, Quality, SettingsError
from device_bridge.protocols import Checksum, ChecksumSettings, scaled
from register_sensor.chip import ChipField, ChipSettings, checked, chip_of, resolved
from register_sensor.compensation import bmp388_pressure, bmp388_temperature
from register_sensor.computed import ComputedSettings, with_computed
from register_sensor.emulator import ProfileChip
from register_sensor.parameters import FieldChange
from register_sensor.service import RegisterSensor
from register_sensor.transfers import GarbledError, ReadSettings
from simulated_devices import NoAcknowledge

from ..movable_clock import now
from .serving import settings_of
from .test_register_sensor import Scripted, ScriptedAdc, driving, floats, sensing, words

pytestmark = pytest.mark.clock("movable")


class Recorded(ProfileChip):
    """A chip of a profile; keeps what is written, and damages or refuses reads on demand."""

    def __init__(self, chip):
        self.writes, self.damage, self.damaged, self.deaf = [], 0, None, 0
        super().__init__(chip, now)

    def write(self, data):
        self.writes.append(data)
        super().write(data)

    def read(self, count):
        if self.deaf:
            self.deaf -= 1
            raise NoAcknowledge
        data = super().read(count)
        if self.damage and self.damaged in (None, self._pointer):
            self.damage -= 1
            return bytes([data[0] ^ 0x10]) + data[1:]
        return data


def values(readings):
    return {reading.name: reading.value for reading in readings}


async def until_good(driver):
    while None in values(await driver.measure()).values():
        await asyncio.sleep(1)


def chip(**members):
    return checked(msgspec.convert({"address": 0x40, **members}, ChipSettings), "chips.it")


def reads(fields, count=2, **members):
    return {"read": {"write": [0], "read": count}, "fields": fields, **members}


# Set up only when it has to be


async def test_a_wrong_bit_costs_a_reading_not_the_baseline(tmp_path):  # esphome/issues#950, #4243
    sgp30 = Recorded(chip_of("sgp30"))
    async with driving(tmp_path, chip_of("sgp30"), sgp30) as driver:
        first = await driver.measure()
        assert {(reading.value, reading.reason) for reading in first} == {(None, "it is warming up")}
        await until_good(driver)
        sgp30.set("eco2", 800)
        sgp30.damage = 1
        with pytest.raises(DeviceError, match="checksum"):
            await driver.measure()
        assert values(await driver.measure())["eco2"] == 800
        assert sgp30.writes.count(b"\x20\x03") == 1
        assert driver.counters == {"checksum_errors": 1, "resets": 0}


async def test_after_an_absence_it_is_set_up_again_and_warms_up(tmp_path):
    sgp30 = Recorded(chip_of("sgp30"))
    async with driving(tmp_path, chip_of("sgp30"), sgp30) as driver:
        await until_good(driver)
        sgp30.deaf = 2  # the transfer and its repetition
        with pytest.raises(DeviceError, match="nothing answers"):
            await driver.measure()
        assert {reading.reason for reading in await driver.measure()} == {"it is warming up"}
        assert sgp30.writes.count(b"\x20\x03") == 2


async def test_an_absence_does_not_matter_to_a_chip_that_has_kept_its_settings(tmp_path):
    ina226 = Recorded(chip_of("ina226"))
    async with driving(tmp_path, chip_of("ina226"), ina226) as driver:
        await driver.measure()
        ina226.deaf = 2
        with pytest.raises(DeviceError):
            await driver.measure()
        await driver.measure()
        assert ina226.writes.count(b"\x05\x08\x00") == 1
        ina226.damage, ina226.damaged = (
            1,
            b"\x05",
        )  # of what says whether it has kept them: looked at twice before it is believed
        await driver.measure()
        assert ina226.writes.count(b"\x05\x08\x00") == 1
        ina226.reset()
        await driver.measure()
        assert ina226.writes.count(b"\x05\x08\x00") == 2
        assert driver.counters["resets"] == 1


async def test_another_chip_in_its_place_is_noticed_after_an_error(tmp_path):
    answers = {"202f": words(0x0022), "2008": words(400, 0)}
    sgp30 = Scripted(answers)
    async with driving(tmp_path, chip_of("sgp30"), sgp30) as driver:
        await driver.measure()
        sgp30.answers[b"\x20\x08"] = bytes(6)
        sgp30.answers[b"\x20\x2f"] = bytes.fromhex(words(0x1022))
        with pytest.raises(DeviceError, match="checksum"):
            await driver.measure()
        with pytest.raises(DeviceError, match="identification is 10 22"):
            await driver.measure()


async def test_a_reset_in_the_middle_of_a_measurement_spoils_nothing(tmp_path):
    class Unlucky(Recorded):
        def read(self, count):
            if self._pointer == b"\x04" and self.damage:
                self.damage -= 1
                self.reset()  # calibration is lost: the current reads 0
                return bytes(2)
            return super().read(count)

    ina219 = Unlucky(chip_of("ina219"))
    ina219.set("current", 0.5)
    async with driving(tmp_path, chip_of("ina219"), ina219) as driver:
        ina219.damage, ina219.damaged = 1, b""  # no other read
        assert values(await driver.measure())["current"] == 0.5
        assert driver.counters["resets"] == 1
        ina219.damage = 2
        with pytest.raises(DeviceError, match="again and again"):
            await driver.measure()
        assert values(await driver.measure())["current"] == 0.5


async def test_values_are_good_after_the_warm_up_unless_the_chip_says_otherwise(tmp_path):
    answers = {"d002": words(0x3030, 0x3038, 0x3030, 0x3030), "0202": words(1), "d206": words(0, 0)}
    scripted = Scripted(answers | {"0300": floats(1.5, 2.5, 4.5, 10.25)})
    async with driving(tmp_path, chip_of("sps30"), scripted) as driver:
        assert set(values(await driver.measure()).values()) == {None}
        await asyncio.sleep(30)
        assert values(await driver.measure()) == {"pm1": 1.5, "pm2_5": 2.5, "pm4": 4.5, "pm10": 10.25}
        scripted.answers[b"\xd2\x06"] = bytes.fromhex(words(0, 0x10))
        assert {reading.reason for reading in await driver.measure()} == {"its fan or laser has failed"}


# Codings


async def test_a_floating_point_number_lies_across_checksums(tmp_path):
    number = struct.pack(">f", 1012.5)
    answers = {"d100": words(0x0342), "0202": words(1)}
    parts = [int.from_bytes(number[:2], "big"), int.from_bytes(number[2:], "big")]
    answers["0300"] = words(*parts, *parts, *parts)
    async with driving(tmp_path, chip_of("scd30"), Scripted(answers)) as driver:
        assert values(await driver.measure())["co2"] == 1012.5


@given(st.floats(width=32), st.sampled_from(["big", "little"]))
def test_floating_point_numbers_are_what_they_were_or_no_value(number, order):
    field = ChipField(name="x", size=4, coding="float32", order=order)
    reading = field.reading(field.raw(struct.pack(">f" if order == "big" else "<f", number)))
    if math.isfinite(number):
        assert struct.pack(">f", reading.value) == struct.pack(">f", number)
    else:
        assert (reading.value, reading.quality) == (None, Quality.BAD)


CODED = [
    ({"coding": "sign_magnitude", "scale": 0.1}, "8069", -10.5),
    ({"coding": "sign_magnitude", "scale": 0.1}, "0069", 10.5),
    ({"coding": "sign_magnitude", "scale": 0.1}, "8000", 0),
    ({"coding": "sign_magnitude", "bits": [0, 12]}, "f801", -1),
    ({"coding": "parts"}, "1905", 25.5),  # DHT12: whole ones and tenths, the sign with the tenths
    ({"coding": "parts", "sign_bit": 7}, "0a85", -10.5),
    ({"coding": "parts", "sign_bit": 15}, "8a05", -10.5),
    ({"coding": "parts", "fraction": 100}, "1919", 25.25),
    ({"coding": "parts"}, "190b", None),  # eleven tenths
    ({"coding": "bcd"}, "1234", 1234),
    ({"coding": "bcd"}, "12a4", None),
    ({"coding": "float32", "size": 4}, "7fc00000", None),
    ({"coding": "float32", "size": 4, "order": "little"}, "00207d44", 1012.5),
    ({"coding": "text", "size": 6}, "563132000000", "V12"),
    ({"coding": "text", "size": 3}, "563132", "V12"),
    ({"coding": "text", "size": 3}, "56ff32", None),
    ({"coding": "text", "size": 3}, "000000", None),
]


@pytest.mark.parametrize(("members", "data", "value"), CODED)
def test_codings(members, data, value):
    field = msgspec.convert({"name": "x", **members}, ChipField)
    assert field.problem(8) is None
    reading = field.reading(field.raw(bytes.fromhex(data)))
    assert (reading.value, bool(reading.reason)) == (value, value is None)


@pytest.mark.parametrize("members", [members for members, _, value in CODED if isinstance(value, int | float)])
@given(share=st.floats(0, 1))
def test_a_coded_value_survives_the_bytes(members, share):
    field = msgspec.convert({"name": "x", **members}, ChipField)
    low, high = (max(-1e6, end) if end < 0 else min(1e6, end) for end in field.raw_limits)
    raw = low + (high - low) * share
    raw = raw if field.coding == "float32" else round(raw)
    body = bytearray(field.size)
    field.put(raw, body)
    assert field.raw(bytes(body)) == pytest.approx(raw, rel=1e-6)


# Sentinels that are values


async def test_what_was_configured_decides_whether_it_is_a_value(tmp_path):
    flag = {"name": "skipped", "mask": 7, "equals": 0, "fields": ["humidity"], "reason": "not measured"}
    fields = [{"name": "humidity", "at": 1}, {"name": "temperature", "at": 3}]
    settings = chip(reads=[reads(fields, 5, flags=[flag])])
    for control, expected in (("01", 0x8000), ("00", None)):
        async with driving(tmp_path, settings, Scripted({"00": control + "80000102"})) as driver:
            assert values(await driver.measure()) == {"humidity": expected, "temperature": 0x0102}


# Checksums


@pytest.mark.parametrize(
    ("checksum", "written", "data", "body"),
    [
        ({"algorithm": "CRC-8/NRSC-5", "start": 0}, "f3", "683a7c", "683a"),  # HTU21D
        ("pec", "07", "d23a30", "d23a"),  # MLX90614 at 0x5A
        ({"algorithm": "CRC-16/MODBUS", "byte_order": "little"}, "", "030401f400fa31a5", "030401f400fa"),  # AM2320
        ({"algorithm": "XOR", "at": 0}, "", "03010200", "010200"),
        ({"algorithm": "SUM-8", "skip": 1, "count": 2}, "", "ff0102ff03", "ff0102ff"),
        ({"algorithm": "XOR", "start": 0x55}, "", "010256", "0102"),
    ],
)
def test_checksums(checksum, written, data, body):
    data, body = bytes.fromhex(data), bytes.fromhex(body)
    read = msgspec.convert(
        {"write": list(bytes.fromhex(written)), "read": len(data), "checksum": checksum}, ReadSettings
    )
    assert read.body_size == len(body)
    assert read.strip(data, 0x5A) == body
    assert read.append(body, 0x5A) == data
    covered_all = not (isinstance(checksum, dict) and ("skip" in checksum or "count" in checksum))
    for bit in range(8 * len(data)) if covered_all else (8, 17, 39):
        wrong = bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(data))
        with pytest.raises(GarbledError):
            read.strip(wrong, 0x5A)
    if checksum == "pec":
        with pytest.raises(GarbledError):
            read.strip(data, 0x5B)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [({"algorithm": "CRC-8/NRSC-5", "start": 256}, "too large"), ({"algorithm": "CRC-8/NOBODY"}, "unknown")],
)
def test_a_wrong_checksum_is_refused(settings, rule):
    with pytest.raises(SettingsError, match=rule):
        Checksum(ChecksumSettings(**settings))


# Flags, tables, formulas


async def test_stale_values_are_read_again_and_then_marked(tmp_path):
    answers = iter(["5fff7ffc", "1fff7ffc"])

    class Once(Scripted):
        def read(self, count):
            return bytes.fromhex(next(answers, "5fff7ffc"))

    async with driving(tmp_path, chip_of("hih6130"), Once({})) as driver:
        assert values(await driver.measure()) == {"humidity": 50.0, "temperature": 42.5}
        readings = await driver.measure()
        assert {(reading.value, reading.reason) for reading in readings} == {
            (None, "stale: nothing new was measured")
        }


async def test_a_flag_may_keep_the_last_value_or_mark_it(tmp_path):
    flags = [
        {"name": "old", "mask": 0xC0, "equals": 0x40, "then": "keep", "reason": "nothing new"},
        {"name": "hot", "mask": 0xC0, "equals": 0x80, "then": "uncertain", "reason": "too hot"},
    ]
    scripted = Scripted({"00": "4005"})
    async with driving(
        tmp_path, chip(reads=[reads([{"name": "x", "bits": [0, 8]}], flags=flags)]), scripted
    ) as driver:
        (reading,) = await driver.measure()
        assert (reading.value, reading.reason) == (None, "nothing new")
        scripted.answers[b"\0"] = b"\x00\x05"
        assert values(await driver.measure()) == {"x": 5}
        scripted.answers[b"\0"] = b"\x40\x06"
        assert await driver.measure() == []
        scripted.answers[b"\0"] = b"\x80\x07"
        (reading,) = await driver.measure()
        assert (reading.value, reading.quality, reading.reason) == (7, Quality.UNCERTAIN, "too hot")


async def test_a_magnet_that_is_too_weak_makes_an_angle_uncertain(tmp_path):
    async with driving(tmp_path, chip_of("as5600"), Scripted({"0b": "30", "0c": "0800"})) as driver:
        (reading,) = await driver.measure()
        assert (reading.value, reading.quality) == (180.0, Quality.UNCERTAIN)


VANE = ((3000, 112.5), (4000, 67.5), (4500, 90.0), (8000, 157.5), (12000, 135.0))


def test_a_vane_knows_directions_and_nothing_between():
    field = ChipField(name="direction", table=VANE, between="nearest", within=200)
    found = [field.reading(raw).value for raw in (2990, 4240, 4260, 8199, 8201, 65535)]
    assert found == [112.5, None, None, 157.5, None, None]
    field = ChipField(name="direction", table=VANE, between="nearest")
    assert [field.reading(raw).value for raw in (0, 4240, 4260)] == [112.5, 67.5, 90.0]


def test_steps_hold_up_to_the_next():
    field = ChipField(name="level", table=((10, 1), (20, 2), (30, 3)), between="steps")
    assert [field.reading(raw).value for raw in (9, 10, 19, 20, 29, 30, 99)] == [None, 1, 1, 2, 2, 3, 3]


FORMS = [
    ({"form": "linear", "of": ["a", "b"], "factors": [2, -0.5], "offset": 1}, 2 * 6 - 0.5 * 4 + 1),
    ({"form": "linear", "of": ["a", "b"]}, 10),
    ({"form": "product", "of": ["a", "b"]}, 24),
    ({"form": "product", "of": ["a", "b"], "factors": [1, -1]}, 1.5),
    ({"form": "product", "of": ["b"], "factors": [0.5], "scale": 10}, 20),
    ({"form": "polynomial", "of": ["b"], "factors": [1, 0, 0.25]}, 5),
    ({"form": "minimum", "of": ["a", "b"]}, 4),
    ({"form": "maximum", "of": ["a", "b"]}, 6),
    ({"form": "product", "of": ["a", "zero"], "factors": [1, -1]}, None),
    ({"form": "product", "of": ["minus"], "factors": [0.5]}, None),
    ({"form": "product", "of": ["a"], "factors": [1e6]}, None),
    ({"form": "linear", "of": ["a", "missing"]}, None),
]
INPUTS = {"a": 6, "b": 4, "zero": 0, "minus": -1}


@pytest.mark.parametrize(("members", "value"), FORMS)
def test_values_are_computed_by_a_few_forms(members, value):
    computed = msgspec.convert({"name": "x", **members}, ComputedSettings)
    assert computed.problem([*INPUTS, "missing"]) is None
    readings = [ChipField(name=name).good(number) for name, number in INPUTS.items()]
    readings.append(ChipField(name="missing").bad("gone"))
    found = {reading.name: reading for reading in with_computed(readings, [computed])}["x"]
    assert (found.value, bool(found.reason)) == (value, value is None)


def test_what_is_computed_from_what_is_outside_its_range_is_uncertain():
    fields = [ChipField(name="a", valid=(0, 5)), ComputedSettings(name="x", form="linear", of=("a",))]
    assert with_computed([fields[0].good(6)], fields)[1].quality is Quality.UNCERTAIN
    assert with_computed([fields[0].good(5)], fields)[1].quality is Quality.GOOD
    assert len(with_computed([], fields)) == 0


# Parameters


@pytest.mark.parametrize(
    ("profile", "parameters", "answers", "expected"),
    [
        (
            "ina219",
            {"shunt": 0.01},
            {"05": "1000", "02": "5d98", "04": "2710", "03": "1766"},
            {"current": 10.0, "power": 119.8},
        ),
        ("ads1115", {"range": 0.256}, {"00": "4000"}, {"voltage_0": 0.128}),
        (
            "mcp3424",
            {"gain": 8},
            {"8b": "40000b", "ab": "40002b", "cb": "40004b", "eb": "40006b"},
            {"voltage_4": 0.128},
        ),
        (
            "tsl2591",
            {"gain": 25},
            {"b2": "50", "a1": "11", "b3": "01", "b4": "e8032c01"},
            {"illuminance": round((1000 - 1.64 * 300) * 408 / 200 / 25, 4)},
        ),
        (
            "veml7700",
            {"gain": 2, "integration_time": 800},
            {"07": "81c4", "00": "c008", "04": "e803"},
            {"illuminance": 4.2},
        ),
        (
            "veml7700",
            {"gain": 1, "integration_time": 25},
            {"07": "81c4", "00": "0003", "04": "e803"},
            {"illuminance": pytest.approx(1000 * 0.0042 * 2 * 32)},
        ),
        (
            "mpu6050",
            {"rotation_range": 2000, "acceleration_range": 16},
            {"75": "68", "6b": "01", "1b": "18", "1c": "18", "3b": "40000000000000000083000000000000"[:28]},
            {"acceleration_x": pytest.approx(8 * 9.80665, abs=1e-3), "rotation_x": pytest.approx(8.0, abs=1e-3)},
        ),
    ],
)
async def test_a_parameter_changes_what_is_written_and_what_is_meant(
    tmp_path, profile, parameters, answers, expected
):
    settings = resolved(chip_of(profile), parameters, {}, "sensors.0")
    scripted = ScriptedAdc if profile == "ads1115" else Scripted
    async with driving(tmp_path, settings, scripted(answers)) as driver:
        found = values(await driver.measure())
    assert {name: found[name] for name in expected} == expected
    if profile == "veml7700":
        assert bytes(settings.init[1].write).hex() == f"00{answers['00']}"


def test_a_range_goes_with_its_parameter():
    settings = resolved(chip_of("ina219"), {"shunt": 0.01}, {"voltage": FieldChange(valid=(0, 16))}, "sensors.0")
    ranges = {field.name: field.valid for field in settings.fields}
    assert ranges == {"voltage": (0, 16), "current": (-32, 32), "power": (0, 832)}


@pytest.mark.parametrize(
    ("sensor", "field", "remedy"),
    [
        ({"profile": "ina219", "parameters": {"shant": 1}}, "sensors.0.parameters", "shunt"),
        ({"profile": "ina219", "parameters": {"shunt": 0}}, "sensors.0.parameters.shunt", "1e-05 to 100"),
        ({"profile": "ads1115", "parameters": {"range": 5}}, "sensors.0.parameters.range", "6.144, 4.096"),
        ({"profile": "sht31", "parameters": {"gain": 2}}, "sensors.0.parameters", "has none"),
        ({"profile": "sht31", "fields": {"humid": {"scale": 2}}}, "sensors.0.fields", "humidity"),
    ],
)
def test_wrong_parameters_name_the_field_and_the_remedy(sensor, field, remedy):
    with pytest.raises(SettingsError) as caught:
        RegisterSensor.check_settings(settings_of(RegisterSensor, sensors=[sensor]))
    assert caught.value.field == field
    assert remedy in caught.value.remedy


async def test_two_sensors_of_a_profile_have_shunts_of_their_own(tmp_path):
    sensors = [
        {"profile": "ina226", "name": "small"},
        {"profile": "ina226", "name": "large", "address": 0x41, "parameters": {"shunt": 0.001}},
    ]
    async with sensing(tmp_path, *sensors) as (bus, bridged):
        bus.execute("set small/current 0.5")
        bus.execute("set large/current 0.5")  # the emulated chip has the shunt of the profile
        small = await bridged.sample(lambda found: "small/current" in found)
        large = await bridged.sample(lambda found: "large/current" in found)
        assert (small["small/current"].value, large["large/current"].value) == (0.5, 50.0)


async def test_another_chip_in_its_place_is_noticed_though_it_never_failed_to_answer(tmp_path):
    """A MAX17048 has no settings that could be lost; its version tells it."""
    async with sensing(tmp_path, {"profile": "max17048", "name": "cell"}) as (bus, bridged):
        assert (await bridged.sample())["cell/charge"].quality is Quality.GOOD
        bus.execute("swap cell on")
        lost = await bridged.sample()
        assert {reading.quality for reading in lost.values()} == {Quality.BAD}


# What the wire resolves


@pytest.mark.parametrize(
    ("raw", "scale", "offset", "value"),
    [
        (15506, 0.02, -273.15, 36.97),
        (3, 0.1, 0, 0.3),
        (-1, 0.0625, 0, -0.0625),
        (26214, 175 / 65535, -45, 25.0),
        (33680, 1 / 1.2, 0, 28066.67),
        (2346, 0.01, 0, 23.46),
        (7, 1e-5, 0, 7e-05),
        (12, 1, 0, 12),
        (0.5, 10, 0, 5.0),
        (1.0, 28.349523125, 0, 28.349523125),
        (36.0, 0.2777777777777778, 0, 10.0),
        (10.0, 2.2369362920544, 0, 22.3693629205),
    ],
)
def test_values_have_the_digits_that_their_step_resolves(raw, scale, offset, value):
    assert repr(float(scaled(raw, scale, offset))) == repr(float(value))


@given(st.integers(-(2**31), 2**31), st.floats(1e-6, 1000), st.floats(-1000, 1000))
def test_rounding_keeps_steps_apart(raw, scale, offset):
    one, next_one = scaled(raw, scale, offset), scaled(raw + 1, scale, offset)
    assert abs(one - (raw * scale + offset)) <= scale * 0.051 + abs(one) * 1e-12
    assert one != next_one


# Profiles of an earlier version


def test_old_names_of_settings_are_accepted():
    members = {
        "sensors": [{"profile": "mine"}],
        "longest_absence": 7,
        "bus": {"timeout_s": 0.1, "gap_s": 0.01, "lock_timeout_s": 2},
        "chips": {
            "mine": {
                "address": 0x41,
                "init": [{"write": [1], "wait_s": 0.5}],
                "reads": [
                    {
                        "start": [2],
                        "wait_s": 0.25,
                        "ready_timeout_s": 3,
                        "update_s": 1,
                        "read": {"read": 2, "write": [3], "pause_s": 0.125},
                        "invalid": [{"name": "f", "read": 1, "mask": 1, "equals": 1, "reason": "r"}],
                        "fields": [{"name": "x"}],
                    }
                ],
            }
        },
    }
    settings = settings_of(RegisterSensor, **members)
    assert settings.max_retry_interval == 7
    assert (settings.bus.timeout, settings.bus.gap, settings.bus.lock_timeout) == (0.1, 0.01, 2)
    (read,) = settings.chips["mine"].reads
    assert (read.wait, read.ready_timeout, read.update_interval, read.read.pause) == (0.25, 3, 1, 0.125)
    assert read.flags[0].reason == "r"


@pytest.mark.parametrize(
    ("members", "where", "rule"),
    [
        ({"computed": [{"name": "y", "form": "linear", "of": ["z"]}]}, "computed.y", "no value before it"),
        ({"computed": [{"name": "y", "form": "polynomial", "of": ["x"]}]}, "computed.y", "no polynomial"),
        ({"computed": [{"name": "y", "form": "linear", "of": ["x"], "factors": [1, 2]}]}, "computed.y", "each value"),
        ({"reads": [reads([{"name": "x", "coding": "float32"}])]}, "fields.x", "not the size of a float32"),
        ({"reads": [reads([{"name": "x", "size": 1, "coding": "parts"}])]}, "fields.x", "too short"),
        ({"reads": [reads([{"name": "x", "scaled_by": {"gain": 1}}])]}, "parameters", "no parameter"),
        (
            {"reads": [reads([{"name": "x"}], flags=[{"name": "f", "reason": "r", "at": 2}])]},
            "flags.f",
            "ends after the 2 bytes",
        ),
        (
            {"reads": [reads([{"name": "x"}], flags=[{"name": "f", "reason": "r", "fields": ["y"]}])]},
            "flags.f",
            "not in this read",
        ),
    ],
)
def test_a_wrong_profile_names_what_is_wrong(members, where, rule):
    with pytest.raises(SettingsError, match=rule) as caught:
        chip(**({"reads": [reads([{"name": "x"}])]} | members))
    assert where in caught.value.field


# A chip's own constants and formulas


def bosch_integers(raw_temperature, raw_pressure, constants):
    """The other form of the BMP388's formulas, in whole numbers, as in Bosch's BMP3 sensor API: 0.01 °C, 0.01 Pa."""
    t1, t2, t3, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11 = constants
    above = raw_temperature - 256 * t1
    t = (t2 * above * 262_144 + above * above * t3) // 2**32
    cubed = t * t // 64 * t // 256
    offset = p5 * 2**47 + p8 * cubed // 32 + p7 * t * t * 16 + p6 * t * 2**22
    slope = (p1 - 2**14) * 2**46 + p4 * cubed // 32 + p3 * t * t * 4 + (p2 - 2**14) * t * 2**21
    bent = (p10 * t + 65_536 * p9) * raw_pressure // 8192
    bent = raw_pressure * (bent // 10) // 512 * 10
    most_bent = p11 * raw_pressure * raw_pressure // 65_536 * raw_pressure // 128
    pressure = offset // 4 + slope // 2**24 * raw_pressure + bent + most_bent
    return t * 25 // 16_384, pressure * 25 // 2**40


@given(st.integers(6_000_000, 11_000_000), st.integers(4_000_000, 10_000_000))
def test_both_forms_of_the_bmp388s_formulas_agree(raw_temperature, raw_pressure):
    constants = chip_of("bmp388").calibration.typical
    celsius, pascals = bosch_integers(raw_temperature, raw_pressure, constants)
    assert bmp388_temperature([raw_temperature], constants) == pytest.approx(celsius / 100, abs=0.02)
    assert bmp388_pressure([raw_temperature, raw_pressure], constants) == pytest.approx(pascals / 100, abs=2)


async def test_constants_that_read_differently_each_time_are_not_used(tmp_path):
    settings = resolved(chip_of("bmp388"), {}, {}, "sensors.0")
    bmp388 = Recorded(settings)
    bmp388.damage, bmp388.damaged = 1, bytes([0x31])
    async with driving(tmp_path, settings, bmp388) as driver:
        with pytest.raises(DeviceError, match="its constants read differently"):
            await driver.measure()
        found = values(await driver.measure())
        assert set(found) == {"temperature", "pressure"}
        assert found["pressure"] == pytest.approx(101_325, rel=0.03)


def test_a_formula_without_constants_is_refused():
    members = {"address": 0x76, "reads": [reads([{"name": "x"}])]}
    members["computed"] = [{"name": "t", "form": "bmp388_temperature", "of": ["x"]}]
    with pytest.raises(SettingsError, match="needs constants"):
        checked(msgspec.convert(members, ChipSettings), "chips.mine")
