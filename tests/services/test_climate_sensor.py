"""BME280 and BMP280: Bosch's arithmetic, measurement times, settings, what is not measured, wrong chips."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from climate_sensor import chip
from climate_sensor.chip import Calibration, Raw
from climate_sensor.emulator import CALIBRATION, ClimateChip
from climate_sensor.service import ClimateSensor
from device_bridge import Quality
from simulated_devices import SimulatedI2cBus

from ..movable_clock import now
from .serving import bridging, emulated, reachable, settings_of

pytestmark = pytest.mark.clock("movable")

SHEET = Raw(pressure=415148, temperature=519888, humidity=30000)
"""The example of BST-BMP280-DS001, section 3.12; its calibration is that of the emulator."""


def test_the_data_sheets_example_in_integers():
    fine = chip.fine_temperature(SHEET.temperature, CALIBRATION)
    assert fine == 128422
    assert chip.integer_temperature(fine) == 2508
    # The sheet prints 25767236, rounded from floating point; its own integer formula gives this.
    assert chip.integer_pressure(SHEET.pressure, fine, CALIBRATION) == 25767233


def test_the_data_sheets_example_in_floating_point():
    celsius, fine = chip.temperature(SHEET.temperature, CALIBRATION)
    assert celsius == pytest.approx(25.08, abs=0.005)
    assert chip.pressure(SHEET.pressure, fine, CALIBRATION) == pytest.approx(100653.27, abs=0.005)


raws = st.builds(Raw, st.integers(300_000, 820_000), st.integers(313_000, 713_000), st.integers(15_000, 40_000))


@given(raws)
def test_both_forms_agree(raw):
    floating = chip.compensated(raw, CALIBRATION, integer=False)
    whole = chip.compensated(raw, CALIBRATION, integer=True)
    assert whole["temperature"] == pytest.approx(floating["temperature"], abs=0.011)
    assert whole["pressure"] == pytest.approx(floating["pressure"], abs=1.0)
    assert whole["humidity"] == pytest.approx(floating["humidity"], abs=0.05)


@given(raws)
def test_raw_values_survive_the_registers(raw):
    assert chip.raw_from_bytes(chip.raw_to_bytes(raw)) == raw


constants = st.tuples(
    st.integers(0, 65535),
    *[st.integers(-32768, 32767)] * 2,
    st.integers(0, 65535),
    *[st.integers(-32768, 32767)] * 8,
    st.integers(0, 255),
    st.integers(-32768, 32767),
    st.integers(0, 255),
    *[st.integers(-2048, 2047)] * 2,
    st.integers(-128, 127),
)


@given(constants)
def test_calibration_survives_the_registers(values):
    calibration = Calibration(*values)
    assert Calibration.from_bytes(*calibration.to_bytes()) == calibration


@given(constants, st.builds(Raw, *[st.integers(0, 2**20 - 1)] * 2, st.integers(0, 65535)))
def test_no_calibration_makes_it_fail(values, raw):
    for integer in (True, False):
        chip.compensated(raw, Calibration(*values), integer=integer)


def test_measurement_times_are_those_of_the_data_sheet():
    assert chip.measurement_s(1, 1, 1) == pytest.approx(0.0093)  # section 9.1
    assert chip.measurement_s(16, 16, 16) == pytest.approx(0.1128)
    assert chip.measurement_s(1, 0, 0) == pytest.approx(0.00355)


def test_the_emulated_chip_takes_its_time():
    now = 100.0
    emulated = ClimateChip(clock=lambda: now)

    def register(at, count=1):
        emulated.write(bytes([at]))
        return emulated.read(count)

    assert register(chip.STATUS)[0] == chip.COPYING
    now += chip.START_UP_S
    assert register(chip.STATUS)[0] == 0
    assert chip.raw_from_bytes(register(chip.DATA, 8)) == Raw(0x80000, 0x80000, 0x8000)
    emulated.write(bytes([chip.CONTROL_HUMIDITY, 1, chip.CONTROL_MEASUREMENT, 0b001_001_01]))
    assert register(chip.STATUS)[0] == chip.MEASURING
    assert chip.raw_from_bytes(register(chip.DATA, 8)) == Raw(0x80000, 0x80000, 0x8000)
    now += chip.measurement_s(1, 1, 1)
    assert register(chip.STATUS)[0] == 0
    assert 0x80000 not in chip.raw_from_bytes(register(chip.DATA, 8))
    assert register(chip.CONTROL_MEASUREMENT)[0] & 3 == chip.SLEEP


@contextlib.asynccontextmanager
async def climate(folder, identity=chip.BME280_ID, emulated=None, **members):
    bus = SimulatedI2cBus(folder / "bus")
    bus.add("climate", 0x76, emulated or ClimateChip(identity, clock=now))
    settings = settings_of(ClimateSensor, bus={"path": f"sim:{bus.path}"}, **{"interval": 0.05} | members)
    async with reachable(bus), bridging(ClimateSensor, settings) as bridged:
        yield bus, bridged


async def test_a_bmp280_has_no_humidity(tmp_path):
    async with climate(tmp_path, chip.BMP280_ID) as (_, bridged):
        assert set(await bridged.sample()) == {"temperature", "pressure"}


@pytest.mark.parametrize(
    ("members", "names"),
    [
        ({"oversampling_pressure": 0}, {"temperature", "humidity"}),
        ({"oversampling_humidity": 0}, {"temperature", "pressure"}),
    ],
)
async def test_what_is_not_wanted_is_not_measured(tmp_path, members, names):
    async with climate(tmp_path, **members) as (_, bridged):
        found = await bridged.sample()
        assert set(found) == names
        assert all(reading.quality is Quality.GOOD for reading in found.values())


@pytest.mark.parametrize("arithmetic", ["float", "integer"])
@pytest.mark.parametrize("mode", ["forced", "normal"])
async def test_modes_oversampling_and_filter(tmp_path, mode, arithmetic):
    members = {"mode": mode, "arithmetic": arithmetic, "filter": 4, "standby": "0.5"}
    members |= {f"oversampling_{name}": 2 for name in ("temperature", "pressure", "humidity")}
    async with climate(tmp_path, **members) as (bus, bridged):
        memory = bus.places["climate"].chip.memory
        await bridged.sample()
        assert memory[chip.CONFIG] == 2 << 2
        assert memory[chip.CONTROL_HUMIDITY] == 2
        assert memory[chip.CONTROL_MEASUREMENT] & ~3 == 0b010_010_00
        for quantity, value in (("temperature", -12.5), ("humidity", 33.0), ("pressure", 98_765.0)):
            bus.execute(f"set climate/{quantity} {value}")
        await bridged.sample(
            lambda found: (
                abs(found["temperature"].value + 12.5) <= 0.01
                and abs(found["humidity"].value - 33) <= 0.06
                and abs(found["pressure"].value - 98_765) <= 2
            )
        )


async def test_a_chip_that_measures_before_it_is_ready_gives_no_value(tmp_path):
    class Unready(ClimateChip):
        def _measured(self):
            return Raw(chip.SKIPPED_20, chip.SKIPPED_20, chip.SKIPPED_16)

    async with climate(tmp_path, emulated=Unready(clock=now)) as (_, bridged):
        found = await bridged.sample()
        assert {(r.value, r.quality, r.reason) for r in found.values()} == {(None, Quality.BAD, "not measured yet")}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda emulated: emulated._power_on.update({chip.ID: 0x61}), "chip id is 0x61, 0x60"),
        (lambda emulated: emulated._power_on.update(dict.fromkeys(range(0x88, 0xA2), 0xFF)), "nothing but 0xff"),
    ],
)
async def test_a_wrong_chip_is_reported(tmp_path, damage, words):
    emulated = ClimateChip(clock=now)
    damage(emulated)
    emulated.reset()
    async with climate(tmp_path, emulated=emulated) as (_, bridged):
        found = await bridged.sample()
        assert words in found["temperature"].reason


SKIPPED = {"pressure": chip.SKIPPED_20, "humidity": chip.SKIPPED_16, "temperature": chip.SKIPPED_20}
ORDINARY = {"pressure": 415148, "humidity": 30000, "temperature": 519888}


@pytest.mark.parametrize(
    ("same", "members", "expected"),
    [
        ("humidity", {}, {"humidity": 66.46}),  # Adafruit_BME280_Library#114
        ("pressure", {}, {"pressure": 81_874.699}),
        ("temperature", {}, {"temperature": 26.4608}),
        ("temperature", {"oversampling_pressure": 0, "oversampling_humidity": 0}, {"temperature": 26.4608}),
    ],
)
async def test_a_measured_value_may_be_that_of_a_reset(tmp_path, same, members, expected):
    class Exact(ClimateChip):
        def _measured(self):
            raw = ORDINARY | {same: SKIPPED[same]}
            times = dict(zip(("temperature", "pressure", "humidity"), self._times(), strict=True))
            return Raw(**{name: value if times[name] else SKIPPED[name] for name, value in raw.items()})

    async with climate(tmp_path, emulated=Exact(clock=now), **members) as (_, bridged):
        found = await bridged.sample()
        assert {name: found[name].value for name in expected} == pytest.approx(expected, abs=0.001)
        assert all(reading.quality is Quality.GOOD for reading in found.values())


@pytest.mark.parametrize("arithmetic", ["float", "integer"])
async def test_a_calibration_that_allows_no_pressure_gives_none(tmp_path, arithmetic):
    emulated = ClimateChip(calibration=CALIBRATION._replace(p1=0), clock=now)
    async with climate(tmp_path, emulated=emulated, arithmetic=arithmetic) as (_, bridged):
        found = await bridged.sample()
        assert (found["pressure"].value, found["pressure"].quality) == (None, Quality.BAD)
        assert "calibration" in found["pressure"].reason
        assert found["temperature"].quality is found["humidity"].quality is Quality.GOOD


@pytest.mark.parametrize("arithmetic", ["float", "integer"])
async def test_values_have_the_digits_that_the_chip_resolves(tmp_path, arithmetic):
    async with climate(tmp_path, arithmetic=arithmetic) as (_, bridged):
        for reading in (await bridged.sample()).values():
            assert len(str(reading.value).partition(".")[2]) <= 4


async def test_a_wrong_bit_in_the_calibration_is_noticed(tmp_path):
    class Noisy(ClimateChip):
        reads = 0

        def read(self, count):
            data = super().read(count)
            if count == chip.CALIBRATION_SIZE:
                Noisy.reads += 1
                if Noisy.reads == 1:
                    return bytes([data[0] ^ 0x10]) + data[1:]
            return data

    async with climate(tmp_path, emulated=Noisy(clock=now)) as (_, bridged):
        found = await bridged.sample()
        assert "two reads of its calibration differ" in found["temperature"].reason
        assert (await bridged.sample())["temperature"].quality is Quality.GOOD


async def test_a_lost_setting_is_noticed_and_made_good(tmp_path):
    async with climate(tmp_path, oversampling_temperature=4) as (bus, bridged):
        await bridged.sample()
        bus.execute("flip climate 0xF2 1")
        found = await bridged.sample(lambda found: found["temperature"].value is None)
        assert "lost its settings" in found["temperature"].reason
        await bridged.sample(lambda found: found["temperature"].value is not None)


@pytest.mark.clock("real")
@pytest.mark.parametrize("profile", ["bme280", "bmp280"])
async def test_the_emulators_process_says_how_to_reach_it(profile):
    async with emulated("climate_sensor", "--profile", profile, "--address", "0x77") as emulator:
        settings = settings_of(ClimateSensor, **{**emulator.settings, "interval": 0.1})
        async with bridging(ClimateSensor, settings) as bridged:
            assert ("humidity" in await bridged.sample()) == (profile == "bme280")
            assert await emulator.tell("set temperature 30") == "ok"
            await bridged.sample(lambda found: abs(found["temperature"].value - 30) < 0.01)
