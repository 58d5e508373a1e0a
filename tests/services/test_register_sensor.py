"""Chips by profile: bytes from data sheets, conversion times, several on a bus, multiplexers, wrong profiles."""

import asyncio
import contextlib
import datetime
import json
import re
import struct
import tomllib
from pathlib import Path

import msgspec
import pytest

import register_sensor
from device_bridge import DeviceError, DeviceErrorKind, Quality, SettingsError
from device_bridge.buses import I2cBus, I2cSettings, number_of
from device_bridge.protocols import Checksum, ChecksumSettings
from device_bridge.settings import profile_names
from register_sensor.chip import ChipField, ChipSettings, checked, chip_of, clock_bytes
from register_sensor.driver import ChipDriver
from register_sensor.emulator import ProfileChip
from register_sensor.service import RegisterSensor
from simulated_devices import NoAcknowledge, SimulatedI2cBus

from ..movable_clock import now
from .serving import bridging, emulated, reachable, settings_of

pytestmark = pytest.mark.clock("movable")

PROFILES = profile_names("register_sensor")
README = Path(register_sensor.__path__[0]) / "README.md"


class Scripted:
    """A chip that answers with bytes written down here, by what was written before."""

    def __init__(self, answers):
        self.answers = {bytes.fromhex(written): bytes.fromhex(answer) for written, answer in answers.items()}
        self.last = b""

    def write(self, data):
        self.last = data

    def read(self, count):
        answer = self.answers.get(self.last, b"\0" * count)
        assert len(answer) >= count
        return answer[:count]


class ScriptedAdc(Scripted):
    """An ADS1115: it answers with the configuration that was written, and has finished."""

    def write(self, data):
        super().write(data)
        if data[0] == 1 and len(data) == 3:
            self.answers[b"\x01"] = bytes([data[1] | 0x80, data[2]])


@contextlib.asynccontextmanager
async def driving(folder, chip_settings, chip):
    bus = SimulatedI2cBus(folder / "bus")
    bus.add("it", number_of(chip_settings.address), chip)
    async with reachable(bus):
        way = I2cBus(I2cSettings(path=f"sim:{bus.path}"))
        await way.open()
        try:
            yield ChipDriver(way.device(chip_settings.address), chip_settings)
        finally:
            await way.close()


def crc8(data):
    """Sensirion's, a bit at a time, as their data sheets print it; beside the library's."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x31) & 0xFF if crc & 0x80 else crc << 1
    return crc


def words(*values):
    data = [value.to_bytes(2, "big") for value in values]
    return b"".join(word + bytes([crc8(word)]) for word in data).hex()


def floats(*values):
    data = [struct.pack(">f", value) for value in values]
    return words(*(int.from_bytes(part, "big") for number in data for part in (number[:2], number[2:])))


def modbus(body):
    return (
        Checksum(ChecksumSettings(algorithm="CRC-16/MODBUS", byte_order="little")).append(bytes.fromhex(body)).hex()
    )


def pec(transfer):
    return Checksum(ChecksumSettings(algorithm="CRC-8/SMBUS")).value(bytes.fromhex(transfer)).hex()


OBJECT = ("ambient_temperature", "object_temperature")
INA3221 = {"fe": "5449", "ff": "3220", "00": "7127"}
VOLTAGES = {"voltage_1": 0.0000625, "voltage_2": -0.0000625, "voltage_3": None, "voltage_4": 1.024}

# Written, answered, and what the data sheet says that it means (what has no example there: its formula, by hand).
SHEETS = [
    ("tmp102", {"00": "3200"}, {"temperature": 50.0}),  # SBOS397H table 6-2
    ("tmp102", {"00": "1900"}, {"temperature": 25.0}),
    ("tmp102", {"00": "ffc0"}, {"temperature": -0.25}),
    ("tmp102", {"00": "e700"}, {"temperature": -25.0}),
    ("tmp102", {"00": "7ff0"}, {"temperature": 127.9375}),
    ("lm75", {"00": "7d00"}, {"temperature": 125.0}),  # SNOS808P table 1
    ("lm75", {"00": "0080"}, {"temperature": 0.5}),
    ("lm75", {"00": "ff80"}, {"temperature": -0.5}),
    ("lm75", {"00": "c900"}, {"temperature": -55.0}),
    ("lm75", {"00": "197f"}, {"temperature": 25.0}),  # bits of a finer LM75B
    ("tmp117", {"0f": "0117", "00": "0c80"}, {"temperature": 25.0}),  # SNOSD82D table 7-1
    ("tmp117", {"0f": "1117", "00": "f380"}, {"temperature": -25.0}),
    ("tmp117", {"0f": "0117", "00": "0001"}, {"temperature": 0.0078125}),
    ("tmp117", {"0f": "0117", "00": "8000"}, {"temperature": None}),
    ("mcp9808", {"06": "0054", "07": "0400", "05": "c190"}, {"temperature": 25.0}),
    ("mcp9808", {"06": "0054", "07": "0402", "05": "1ff0"}, {"temperature": -1.0}),
    ("bh1750", {"20": "8390"}, {"illuminance": 33680 / 1.2}),  # page 7: 28067 lx
    ("bh1750", {"20": "ffff"}, {"illuminance": None}),
    ("veml7700", {"07": "81c4", "00": "0010", "04": "c805"}, {"illuminance": 1480 * 0.5376}),
    (
        "ina219",
        {"05": "1000", "02": "5d98", "04": "2710", "03": "1766"},
        {"voltage": 11.98, "current": 1.0, "power": 11.98},
    ),
    (
        "ina219",
        {"05": "1000", "02": "5d99", "04": "2710", "03": "1766"},
        {"voltage": 11.98, "current": None, "power": None},
    ),
    (
        "ina226",
        {"fe": "5449", "ff": "2260", "05": "0800", "02": "2570", "04": "2710", "03": "12b8", "06": "0000"},
        {"voltage": 11.98, "current": 0.25, "power": 2.995},
    ),
    ("ads1115", {"00": "4000"}, dict.fromkeys([f"voltage_{n}" for n in range(4)], 2.048)),
    ("ads1115", {"00": "ffff"}, dict.fromkeys([f"voltage_{n}" for n in range(4)], -0.000125)),
    ("ads1115", {"00": "7fff"}, dict.fromkeys([f"voltage_{n}" for n in range(4)])),
    (
        "ds3231",
        {"00": "56342303170226", "0f": "00", "11": "1940"},
        {"time": "2026-02-17T23:34:56Z", "temperature": 25.25},
    ),
    (
        "ds3231",
        {"00": "56347103170226", "0f": "00", "11": "e6c0"},
        {"time": "2026-02-17T23:34:56Z", "temperature": -25.25},
    ),
    ("ds3231", {"00": "56347203170226", "0f": "80", "11": "0000"}, {"time": None, "temperature": 0.0}),
    ("ds3231", {"00": "5634230317ff26", "0f": "00", "11": "0000"}, {"time": None, "temperature": 0.0}),
    (
        "scd40",  # version 1.4, section 3.5.2
        {"3682": "beef92beef92beef92", "e4b8": words(0x8006), "ec05": "01f4336667a25eb93c"},
        {"co2": 500, "temperature": 25.0, "humidity": 37.0},
    ),
    (
        "sht31",
        {"f32d": words(0), "2400": words(0x6666, 0x8000)},
        {"temperature": 25.0, "humidity": 100 * 0x8000 / 65535},
    ),
    (
        "sht40",
        {"89": words(1, 2), "fd": words(0x6666, 0x8000)},
        {"temperature": 25.0, "humidity": -6 + 125 * 0x8000 / 65535},
    ),
    ("sht40", {"89": words(1, 2), "fd": words(0x6666, 0xFFFF)}, {"temperature": 25.0, "humidity": 100}),
    (
        "aht20",
        {"ac3300": (body := bytes.fromhex("1c8000060000")).hex() + f"{crc8(body):02x}"},
        {"temperature": 25.0, "humidity": 50.0},
    ),
    # Its own example: 0x683A, of which the two lowest bits are status, has the checksum 0x7C.
    (
        "htu21d",
        {"f3": "683a7c", "f5": "7c8297"},
        {"temperature": -46.85 + 175.72 * 0x6838 / 65536, "humidity": -6 + 125 * 0x7C80 / 65536},
    ),
    ("sgp30", {"202f": words(0x0022), "2008": words(400, 0)}, {"eco2": None, "tvoc": None}),  # it warms up
    (  # interface description, "Read measurement": 439 ppm, 27.2 degrees, 48.8 %
        "scd30",
        {"d100": words(0x0342), "0202": words(1), "0300": "43dbcb8c2e8f41d970e7fff5424 3bf3a1b74".replace(" ", "")},
        {"co2": 439.1, "temperature": 27.238, "humidity": 48.807},
    ),
    (
        "scd30",
        {"d100": words(0x0342), "0202": words(1), "0300": floats(0.0, 21.5, 48.25)},
        {"co2": None, "temperature": 21.5, "humidity": 48.25},
    ),
    (
        "sps30",
        {
            "d002": words(0x3030, 0x3038, 0x3030, 0x3030),
            "0202": words(1),
            "0300": floats(1.5, 2.5, 4.5, 10.25),
            "d206": words(0, 0),
        },
        dict.fromkeys(["pm1", "pm2_5", "pm4", "pm10"]),  # it warms up
    ),
    # The data sheet's example of reading 0x07: D2 3A with packet error code 0x30.
    ("mlx90614", {"06": "d23a" + pec("b406b5d23a"), "07": "d23a30"}, dict.fromkeys(OBJECT, 28.01)),
    ("mlx90614", {"06": "d2ba" + pec("b406b5d2ba"), "07": "d23a30"}, dict(zip(OBJECT, (None, 28.01), strict=True))),
    (
        "mlx90614",
        {"06": "243c" + pec("b406b5243c"), "07": "243d" + pec("b407b5243d")},
        dict(zip(OBJECT, (34.77, 39.89), strict=True)),
    ),
    ("am2320", {"030004": "030401f400fa31a5"}, {"humidity": 50.0, "temperature": 25.0}),  # the data sheet's example
    ("am2320", {"030004": modbus("030401f48069")}, {"humidity": 50.0, "temperature": -10.5}),  # Adafruit_AM2320#2
    ("am2320", {"030004": modbus("830201f48069")}, {"humidity": None, "temperature": None}),
    (
        "ina3221",  # -80 mV: the data sheet's example
        INA3221 | {"01": "c180", "02": "5f50", "03": "0008", "04": "0000", "05": "7ff8", "06": "fff8"},
        {
            "voltage_1": 24.4,
            "current_1": -0.8,
            "voltage_2": 0,
            "current_2": 0.0004,
            "voltage_3": -0.008,
            "current_3": None,
        },
    ),
    ("mcp3424", {"88": "000108", "a8": "ffff28", "c8": "7fff48", "e8": "400068"}, VOLTAGES),
    ("mcp3424", {"88": "000128", "a8": "ffff28", "c8": "7fff48", "e8": "400068"}, VOLTAGES | {"voltage_1": None}),
    ("as5600", {"0b": "20", "0c": "0800"}, {"angle": 180.0}),
    ("as5600", {"0b": "20", "0c": "0fff"}, {"angle": 360 * 4095 / 4096}),
    ("as5600", {"0b": "00", "0c": "0800"}, {"angle": None}),
    ("max17048", {"08": "0012", "02": "c350", "04": "4c80"}, {"voltage": 3.90625, "charge": 76.5}),
    ("hih6130", {"00": "1fff7ffc"}, {"humidity": 50.0, "temperature": 42.5}),
    ("hih6130", {"00": "00000000"}, {"humidity": 0.0, "temperature": -40.0}),
    ("hih6130", {"00": "5fff7ffc"}, {"humidity": None, "temperature": None}),
    (
        "tsl2591",
        {"b2": "50", "a1": "01", "b3": "01", "b4": "e8032c01"},
        {"visible_and_infrared": 1000, "infrared": 300, "illuminance": (1000 - 1.64 * 300) * 408 / 200},
    ),
    (
        "tsl2591",
        {"b2": "50", "a1": "01", "b3": "01", "b4": "ffff2c01"},
        {"visible_and_infrared": None, "infrared": 300, "illuminance": None},
    ),
    (
        "bmp388",  # its formulas in rational numbers, with the constants of a chip
        {
            "00": "50",
            "1c": "03",
            "31": "366c4a4af933fb9cf82300cc611b7af3f662411dd3",
            "03": "60",
            "04": "602160e0a57e",
        },
        {"temperature": 21.365, "pressure": 102459.39},
    ),
    (
        "mpu6050",
        {"75": "68", "6b": "01", "1b": "00", "1c": "00", "3b": "4000c0000000" + "f2c0" + "00830000ff7d"},
        {"acceleration_x": 9.80665, "acceleration_y": -9.80665, "acceleration_z": 0}
        | {"temperature": 36.53 - 3392 / 340, "rotation_x": 1.0, "rotation_y": 0, "rotation_z": -1.0},
    ),
]


@pytest.mark.parametrize(("profile", "answers", "meaning"), SHEETS)
async def test_bytes_mean_what_the_data_sheet_says(profile, answers, meaning, tmp_path):
    scripted = ScriptedAdc if profile == "ads1115" else Scripted
    async with driving(tmp_path, chip_of(profile), scripted(answers)) as driver:
        readings = await driver.measure()
        warm_up_s = max(read.warm_up for read in chip_of(profile).reads)
        if warm_up_s and None not in meaning.values():
            assert {reading.reason for reading in readings} == {"it is warming up"}
            await asyncio.sleep(warm_up_s)
            readings = await driver.measure()
        steps = {field.name: field.step for field in chip_of(profile).fields}
        assert {reading.name: reading.value for reading in readings} == {
            name: value
            if not isinstance(value, int | float)
            # Rounded by a tenth of a step at most; this data sheet's example by more.
            else pytest.approx(value, abs=0.01 if profile == "scd40" else max(1e-6, steps.get(name, 0) / 20))
            for name, value in meaning.items()
        }
        assert all(bool(reading.reason) == (reading.value is None) for reading in readings)


def test_every_profile_is_checked_against_its_sheet():
    assert {profile for profile, _, _ in SHEETS} == set(PROFILES)
    assert crc8(b"\xbe\xef") == 0x92, "the example of every Sensirion data sheet"


@pytest.mark.parametrize("profile", PROFILES)
def test_an_emulated_chip_takes_its_time(profile):
    now = 0.0
    settings = chip_of(profile)
    chip = ProfileChip(settings, clock=lambda: now)
    for step in settings.init:
        if step.write:
            chip.write(bytes(step.write))
    for conversion in settings.reads:
        if not conversion.start:
            continue
        if conversion.wake:
            with pytest.raises(NoAcknowledge):
                chip.write(bytes(conversion.wake))
        chip.write(bytes(conversion.start))
        if conversion.while_busy == "no_acknowledge":
            with pytest.raises(NoAcknowledge):
                chip.read(conversion.read.read)
        elif conversion.ready is not None:
            if conversion.ready.write:
                chip.write(bytes(conversion.ready.write))
            assert not conversion.ready.holds(chip.read(conversion.ready.read))
        now += conversion.wait
        if conversion.ready is not None:
            if conversion.ready.write:
                chip.write(bytes(conversion.ready.write))
            assert conversion.ready.holds(chip.read(conversion.ready.read))
        if conversion.read.write:
            chip.write(bytes(conversion.read.write))
        assert conversion.read.strip(chip.read(conversion.read.read))


def test_an_scd40_has_a_new_value_every_five_seconds():
    now = 0.0
    chip = ProfileChip(chip_of("scd40"), clock=lambda: now)
    ready = chip_of("scd40").reads[0].ready
    for step in chip_of("scd40").init:
        chip.write(bytes(step.write))
    for since in (0.0, 4.9):
        now = since
        chip.write(bytes(ready.write))
        assert not ready.holds(ready.strip(chip.read(3)))
        chip.write(b"\xec\x05")
        with pytest.raises(NoAcknowledge):
            chip.read(9)
    now = 5.0
    chip.write(b"\xec\x05")
    assert len(chip.read(9)) == 9
    with pytest.raises(NoAcknowledge):
        chip.read(9)


async def test_a_measurement_that_never_ends_is_a_timeout(tmp_path):
    settings = msgspec.convert(
        {
            "address": 0x40,
            "reads": [
                {
                    "ready": {"write": [1], "read": 1, "mask": 1, "equals": 1},
                    "ready_timeout": 0.02,
                    "read": {"write": [0], "read": 2},
                    "fields": [{"name": "x"}],
                }
            ],
        },
        ChipSettings,
    )
    async with driving(tmp_path, settings, Scripted({"01": "00"})) as driver:
        with pytest.raises(DeviceError, match=r"no measurement within 0\.02 s") as caught:
            await driver.measure()
        assert caught.value.kind is DeviceErrorKind.TIMEOUT


async def test_a_chip_that_does_not_keep_its_settings_is_reported(tmp_path):
    async with driving(tmp_path, chip_of("ina219"), Scripted({"05": "0000"})) as driver:
        with pytest.raises(DeviceError, match="does not keep its settings"):
            await driver.measure()


@pytest.mark.parametrize("seconds", [0.0, 951_782_399.0, 1_709_251_199.0, 1_795_521_600.0])
def test_a_clock_is_set_and_read(seconds):
    field = ChipField(name="time", size=7, coding="bcd_clock")
    if seconds < 946_684_800:
        seconds = 946_684_800.0  # it begins in 2000
    expected = datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert field.raw(clock_bytes(seconds)) == expected


def test_a_table_has_straight_lines_between_its_points():
    field = ChipField(name="t", table=((100, -10.0), (200, 0.0), (400, 40.0)))
    found = [field.reading(raw).value for raw in (0, 100, 150, 200, 300, 400, 65535)]
    assert found == [-10, -10, -5, 0, 20, 40, 40]
    assert [field.raw_for(value) for value in (-10, -5, 20, 40)] == [100, 150, 300, 400]


def test_little_endian_bits_and_meanings():
    field = ChipField(name="state", at=1, size=2, order="little", bits=(4, 4), values={"3": "open", "5": "shut"})
    assert field.reading(field.raw(b"\xff\x35\xff")).value == "open"
    assert field.reading(field.raw(b"\xff\x4f\xff")).quality is Quality.BAD
    body = bytearray(b"\xff\x00\xff")
    field.put(5, body)
    assert body == b"\xff\x50\xff"


FIELD = {"name": "x"}


@pytest.mark.parametrize(
    ("reads", "where", "rule"),
    [
        ([{"read": {"read": 2}, "fields": [FIELD, FIELD]}], "name", "twice"),
        ([{"read": {"read": 2}, "fields": [FIELD | {"at": 1}]}], "fields.x", "ends after the 2 bytes"),
        (
            [{"read": {"read": 3, "checksum": "words"}, "fields": [FIELD | {"size": 3}]}],
            "fields.x",
            "after the 2 bytes",
        ),
        ([{"read": {"read": 2}, "fields": [FIELD | {"bits": [8, 9]}]}], "fields.x", "leaves its 2 bytes"),
        ([{"read": {"read": 2}, "fields": [FIELD | {"coding": "bcd_clock"}]}], "fields.x", "not the size of a clock"),
        ([{"read": {"read": 2}, "fields": [FIELD | {"table": [[2, 1], [1, 2]]}]}], "fields.x", "does not rise"),
    ],
)
def test_a_wrong_profile_names_the_field(reads, where, rule):
    chip = msgspec.convert({"address": 0x40, "reads": reads}, ChipSettings)
    with pytest.raises(SettingsError, match=rule) as caught:
        checked(chip, "chips.mine")
    assert where in caught.value.field


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({}, "sensors"),
        ({"sensors": []}, "sensors"),
        ({"profile": "sht31"}, "profile"),
        ({"sensors": [{"profile": "sht32"}]}, "profile"),
        ({"sensors": [{"profile": "sht31"}, {"profile": "sht31", "name": "b"}]}, "sensors.address"),
        ({"sensors": [{"profile": "sht31"}, {"profile": "sht31", "address": "0x45"}]}, "sensors.name"),
        ({"sensors": [{"profile": "sht31", "address": "0x78"}]}, "sensors"),
        ({"sensors": [{"profile": "sht31", "mux": {"channel": 8}}]}, "sensors"),
    ],
)
def test_wrong_settings_name_the_field(members, field):
    with pytest.raises(SettingsError) as caught:
        RegisterSensor.check_settings(settings_of(RegisterSensor, **members))
    assert field in caught.value.field


@contextlib.asynccontextmanager
async def sensing(folder, *sensors, **members):
    """Sensors given as settings, each with its emulated chip; and a bridge that reads them."""
    bus = SimulatedI2cBus(folder / "bus")
    for sensor in sensors:
        chip, mux = chip_of(sensor["profile"]), sensor.get("mux")
        behind = (mux["address"], mux["channel"]) if mux else None
        bus.add(sensor["name"], sensor.get("address") or number_of(chip.address), ProfileChip(chip, now), behind)
    members = {"interval": 0.05, "max_retry_interval": 1, "sensors": list(sensors)} | members
    settings = settings_of(RegisterSensor, bus={"path": f"sim:{bus.path}"}, **members)
    async with reachable(bus), bridging(RegisterSensor, settings) as bridged:
        yield bus, bridged


async def test_a_sensor_that_is_missing_costs_the_others_nothing_and_is_reported_once(tmp_path):
    sensors = [{"profile": "tmp102", "name": f"t{n}", "address": 0x48 + n} for n in range(4)]
    async with sensing(tmp_path, *sensors) as (bus, bridged):
        bus.execute("absent t2 on")
        bad = await bridged.sample(lambda found: "t2/temperature" in found and not found["t2/temperature"].value)
        assert "nothing answers" in bad["t2/temperature"].reason
        for _ in range(5):
            for name in ("t0", "t1", "t3"):
                found = await bridged.sample(lambda found, name=name: f"{name}/temperature" in found)
                assert found[f"{name}/temperature"].quality is Quality.GOOD
        assert not [s for s in list(bridged.samples._queue) if s[0].name.startswith("t2/")]
        assert bridged.bridge._service.members[2].failures >= 1
        bus.execute("absent t2 off")
        await bridged.sample(lambda found: "t2/temperature" in found and found["t2/temperature"].value is not None)


async def test_each_keeps_its_own_interval(tmp_path):
    sensors = [
        {"profile": "tmp102", "name": "slow", "interval": 60},
        {"profile": "lm75", "name": "quick", "address": 0x49},
    ]
    async with sensing(tmp_path, *sensors, interval=0.02) as (_, bridged):
        for _ in range(10):
            await bridged.sample(lambda found: "quick/temperature" in found)
        assert sum(s[0].name == "slow/temperature" for s in list(bridged.samples._queue)) <= 1


async def test_sensors_of_one_address_behind_a_multiplexer(tmp_path):
    sensors = [
        {"profile": "sht31", "name": f"s{n}", "mux": {"address": 0x70 + n // 3, "channel": n % 3}} for n in range(6)
    ]
    async with sensing(tmp_path, *sensors) as (bus, bridged):
        for n in range(6):
            bus.execute(f"set s{n}/temperature {10 + n}")
        for n in range(6):
            wanted = f"s{n}/temperature"
            found = await bridged.sample(
                lambda found, w=wanted, n=n: w in found and abs(found[w].value - 10 - n) < 0.01
            )
            assert found[wanted].unit == "Cel"


async def test_a_reset_is_logged_and_counted(tmp_path, caplog):
    async with sensing(tmp_path, {"profile": "ina226", "name": "supply"}) as (bus, bridged):
        await bridged.sample()
        bus.execute("reset supply")
        while not bridged.bridge._service.members[0].counters["resets"]:
            found = await bridged.sample()
            assert found["supply/current"].value != 0
        assert "supply was reset" in caplog.text


async def test_losing_the_bus_is_noticed_and_it_is_read_again(tmp_path):
    async with sensing(tmp_path, {"profile": "tmp102", "name": "t"}) as (bus, bridged):
        await bridged.sample()
        bus.execute("disconnect")
        lost = await bridged.sample(lambda found: found["t/temperature"].value is None)
        assert "gone" in lost["t/temperature"].reason
        await bridged.sample(lambda found: found["t/temperature"].value is not None)


async def test_a_flag_makes_what_it_covers_bad(tmp_path):
    async with sensing(tmp_path, {"profile": "ina219", "name": "u"}) as (bus, bridged):
        await bridged.sample()
        bus.execute("set u/overflow 1")
        found = await bridged.sample(lambda found: found["u/current"].value is None)
        assert found["u/current"].reason == "out of range (OVF)"
        assert found["u/voltage"].quality is Quality.GOOD


def section(title):
    return README.read_text().split(f"## {title}\n")[1].split("\n## ")[0]


async def test_a_chip_is_added_as_the_readme_says(tmp_path):
    walk = section("A chip that is not in the list")
    profile = re.search(r"```toml profile\n(.*?)```", walk, re.DOTALL).group(1)
    settings = json.loads(re.search(r"```json example\n(.*?)```", walk, re.DOTALL).group(1))
    wanted = re.search(r"`(\w+) is (.*?) (\w+)`", walk).groups()
    command = re.search(r"^set (\S+) (\S+)$", walk, re.MULTILINE).groups()
    name = settings["sensors"][0]["profile"]
    assert name not in PROFILES

    chip = msgspec.convert({k: v for k, v in tomllib.loads(profile).items() if k != "about"}, ChipSettings)
    bus = SimulatedI2cBus(tmp_path / "bus")
    bus.add(name, number_of(chip.address), ProfileChip(checked(chip, name), now))
    settings |= {"chips": {name: msgspec.to_builtins(chip)}, "bus": {"path": f"sim:{bus.path}"}, "interval": 0.05}
    async with reachable(bus), bridging(RegisterSensor, settings_of(RegisterSensor, **settings)) as bridged:
        assert bus.execute(f"set {command[0]} {command[1]}") == "ok"
        quantity, value, unit = wanted
        found = await bridged.sample(lambda found: abs(found[quantity].value - float(value)) < 0.01)
        assert found[quantity].unit == unit


@pytest.mark.clock("real")
@pytest.mark.parametrize("profile", [(), ("--profile", "scd40", "--profile", "ds3231")])
async def test_the_emulators_process_says_how_to_reach_it(profile):
    async with emulated("register_sensor", *profile) as emulator:
        settings = settings_of(RegisterSensor, **{**emulator.settings, "interval": 0.1})
        names = {sensor["name"] for sensor in emulator.settings["sensors"]}
        async with bridging(RegisterSensor, settings) as bridged:
            while names:
                found = await bridged.sample(lambda found: all(r.quality is Quality.GOOD for r in found.values()))
                names.discard(next(iter(found)).partition("/")[0])
