"""Modbus meters against pymodbus's own server: values, refusals, writes, and units that are not there."""

import asyncio
import contextlib
import json
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Command, CommandError, Quality, SettingsError
from device_bridge.settings import profile_names
from device_bridge.supervision import DeviceState
from modbus_meter.emulator import Meter, MeterLine, registers_of
from modbus_meter.groups import grouped
from modbus_meter.registers import RegisterSettings
from modbus_meter.service import ModbusMeter

from .serving import bridging, playing, port_of, settings_of

pytestmark = pytest.mark.clock("movable")

TYPES = {"u16": (0, 2**16 - 1), "i16": (-(2**15), 2**15 - 1), "u32": (0, 2**32 - 1), "i32": (-(2**31), 2**31 - 1)}
TYPES |= {"u64": (0, 2**64 - 1), "i64": (-(2**63), 2**63 - 1)}
ORDERS = st.sampled_from(["big", "little"])


@given(st.data(), st.sampled_from(sorted(TYPES)), ORDERS, ORDERS)
def test_what_is_written_is_read_back(data, kind, word_order, byte_order):
    register = RegisterSettings(name="x", address=0, type=kind, word_order=word_order, byte_order=byte_order)
    value = data.draw(st.integers(*TYPES[kind]).map(lambda v: v if abs(v) < 2**53 else v // 2**11 * 2**11))
    words = register.encode(value)
    assert len(words) == register.size
    assert register.reading(register.decode(words)).value == value


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), ORDERS)
def test_floats_too(value, word_order):
    register = RegisterSettings(name="x", address=0, type="f32", word_order=word_order)
    decoded = register.decode(register.encode(value))
    assert struct.pack(">f", decoded) == struct.pack(">f", value)
    assert decoded == value or not value.is_integer()


@pytest.mark.parametrize("value", [230.1, 36.97, -0.05, 49.98, 1e-3, 83380528.0])
def test_a_float_has_the_digits_that_it_resolves(value):
    register = RegisterSettings(name="x", address=0, type="f32")
    assert register.reading(register.decode(register.encode(value))).value == value


def test_orders_are_those_of_the_field():
    words = {
        (w, b): RegisterSettings(name="x", address=0, type="u32", word_order=w, byte_order=b).encode(0x01020304)
        for w in ("big", "little")
        for b in ("big", "little")
    }
    assert words["big", "big"] == [0x0102, 0x0304]
    assert words["little", "big"] == [0x0304, 0x0102]
    assert words["big", "little"] == [0x0201, 0x0403]
    assert words["little", "little"] == [0x0403, 0x0201]


def test_bits_scale_and_meaning():
    bits = RegisterSettings(name="x", address=0, bits=(4, 2), values={"0": "off", "2": "fault"})
    assert bits.reading(bits.decode([0b10_1111])).value == "fault"
    assert bits.reading(bits.decode([0b01_0000])).quality is Quality.BAD
    tenths = RegisterSettings(name="x", address=0, type="i16", scale=0.1, missing=(-32768,))
    assert tenths.reading(tenths.decode([0xFFFF])).value == -0.1
    assert tenths.reading(tenths.decode([0x8000])).reason == "no value (-32768)"


def check(register, value):
    return register.command.check(Command(name=register.name, parameters={"value": value})).value


@pytest.mark.parametrize(
    ("members", "value", "named"),
    [
        ({}, "a", "a whole number from 0 to 65535"),
        ({}, True, "a whole number"),
        ({}, 70_000, "65535"),
        ({}, -1, "from 0"),
        ({}, 1.5, "a whole number"),
        ({"type": "i16"}, 40_000, "-32768 to 32767"),
        ({"scale": 0.1, "unit": "Cel"}, 6553.6, r"0 to 6553.5 \(Cel\)"),
        ({"bits": (4, 2)}, 4, "0 to 3"),
        ({"valid": (5, 35)}, 36, "5 to 35"),
        ({"type": "bcd", "words": 2}, 100_000_000, "99999999|1e"),
        ({"type": "f32"}, 1e39, "a number from"),
        ({"type": "text", "words": 2}, 5, "text"),
        ({"values": {"0": "off", "1": "on"}}, "ON", "one of off, on"),
        ({"table": "coil"}, "banana", "true or false"),
        ({"table": "coil"}, 7, "true or false"),
        ({"table": "coil"}, -1, "true or false"),
        ({"type": "u64"}, float(2**53 + 2), "a whole number"),
    ],
)
def test_a_command_takes_what_its_register_can_hold(members, value, named):
    register = RegisterSettings(name="x", address=0, **{"table": "holding", "writable": True} | members)
    register.check()
    with pytest.raises(CommandError, match=named):
        check(register, value)


@pytest.mark.parametrize("value", ["off", "OFF", "false", 0, False])
def test_a_coil_is_switched_off_by_each_word_for_it(value):
    coil = RegisterSettings(name="x", address=0, table="coil", writable=True)
    assert coil.encode(check(coil, value)) == [0]


@pytest.mark.parametrize("kind", ["u64", "i64", "uint"])
def test_whole_numbers_are_written_exactly_however_large(kind):
    register = RegisterSettings(name="x", address=0, table="holding", type=kind, words=4)
    value = 2**62 + 1
    assert register.decode(register.encode(check(register, value))) == value
    assert register.reading_from(register.encode(value), 0).value == value


@pytest.mark.parametrize(
    ("members", "value"),
    [
        ({"type": "f32"}, 2**24 + 1),
        ({"type": "f32"}, 16_777_217.0),
        ({"type": "f64"}, 2**53 + 1),
        ({"type": "text", "words": 4}, "on\0off"),
    ],
)
def test_what_a_register_would_hold_as_another_value_is_refused(members, value):
    register = RegisterSettings(name="x", address=0, table="holding", writable=True, **members)
    with pytest.raises(CommandError, match=r"cannot be written to x exactly|does not fit into x"):
        register.encode(value)


def test_floating_point_numbers_are_written_as_near_as_they_can_be():
    for kind, value in (("f32", 0.1), ("f32", 2**24), ("f32", -3), ("f64", 2**53), ("f64", 1e300)):
        register = RegisterSettings(name="x", address=0, table="holding", type=kind)
        assert register.decode(register.encode(value)) == value


@pytest.mark.parametrize("values", [{"1": "open", "0": "closed"}, {"true": "open", "false": "closed"}])
def test_the_meanings_of_a_bit_are_read_and_written(values):
    register = RegisterSettings(name="x", address=0, table="coil", writable=True, values=values)
    for bit, meaning in ((1, "open"), (0, "closed")):
        assert register.reading_from([bit], 0).value == meaning
        assert register.encode(meaning) == [bit]


def test_a_value_between_two_steps_is_refused_and_both_are_named():
    register = RegisterSettings(name="x", address=0, type="i16", scale=0.1)
    assert register.encode(20.3) == [203]
    with pytest.raises(CommandError, match=r"write 20.5 or 20.6"):
        register.encode(20.55)
    with pytest.raises(CommandError, match="exactly"):
        RegisterSettings(name="x", address=0, type="u64", scale=0.5).encode(2.0**60)


def test_bits_are_written_and_the_others_kept():
    low = RegisterSettings(name="x", address=0, table="holding", bits=(0, 4))
    assert low.encode(1, present=[0xA5F3]) == [0xA5F1]
    high = RegisterSettings(name="x", address=0, table="holding", type="u32", bits=(28, 4))
    assert high.encode(0, present=[0xA5F3, 1]) == [0x05F3, 1]


@pytest.mark.parametrize(
    ("members", "words", "value"),
    [
        ({"type": "text", "words": 4}, [0x5344, 0x4D36, 0x3330, 0], "SDM630"),
        ({"type": "text", "words": 2, "byte_order": "little"}, [0x4241, 0x2043], "ABC"),
        ({"type": "bcd", "words": 2}, [0x0012, 0x3456], 123_456),
        ({"type": "bcd", "scale": 0.1}, [0x0235], 23.5),
        ({"type": "uint", "words": 3}, [1, 2, 3], 2**32 + 2 * 2**16 + 3),
        ({"type": "int", "words": 3, "word_order": "little"}, [0xFFFE, 0xFFFF, 0xFFFF], -2),
        ({"type": "i16", "scale_address": 1}, [2305, 0xFFFF], 230.5),
        ({"type": "i16", "scale_address": 1}, [2305, 1], 23_050.0),
        ({"type": "u32", "scale_address": 2, "scale": 0.001, "unit": "kWh"}, [1, 0, 3], 65_536.0),
        ({"type": "u16", "scale": 0.1}, [3], 0.3),
    ],
)
def test_codings_of_the_field(members, words, value):
    register = RegisterSettings(name="x", address=0, **members)
    register.check()
    reading = register.reading_from(words, 0)
    assert (reading.value, reading.quality) == (value, Quality.GOOD)


@pytest.mark.parametrize(
    ("members", "words", "reason"),
    [
        ({"type": "bcd"}, [0x12A4], "not BCD"),
        ({"type": "text"}, [0xFFFE], "not text"),
        ({"type": "i16", "scale_address": 1}, [2305, 0x8000], "scale"),
        ({"type": "i16", "scale_address": 1}, [2305, 11], "scale 11"),
        ({"type": "text", "words": 2}, [0, 0], "no value"),
    ],
)
def test_registers_that_hold_no_value_are_bad(members, words, reason):
    reading = RegisterSettings(name="x", address=0, **members).reading_from(words, 0)
    assert (reading.value, reading.quality) == (None, Quality.BAD)
    assert reason in reading.reason


@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.sampled_from(["u16", "f32", "u64"]), st.sampled_from(["input", "holding"]))
    ),
    st.integers(0, 10),
    st.integers(4, 125),
)
def test_groups_hold_every_register_once_and_keep_the_limits(found, max_gap, max_size):
    registers = [
        RegisterSettings(name=f"r{n}", address=address, type=kind, table=table)
        for n, (address, kind, table) in enumerate(found)
    ]
    groups = grouped(registers, max_gap, max_size)
    assert sorted(r.name for group in groups for r in group.registers) == sorted(r.name for r in registers)
    for group in groups:
        assert group.size <= max_size
        for register in group.registers:
            assert register.table == group.table
            assert group.address <= register.address
            assert register.address + register.size <= group.address + group.size


def test_neighbours_are_read_together():
    groups = grouped(registers_of("sdm630"), 0, 80)
    assert len(groups) < len(registers_of("sdm630")) / 3


class Bed:
    """Meters on a line, and a bridge that reads them."""

    def __init__(self, played, meters, bridged):
        self.played, self.meters, self.bridged = played, meters, bridged

    def failures(self, meter):
        """How often a meter has failed, as `/metrics` says."""
        return next(
            metric.value
            for metric in self.bridged.metrics()
            if metric.name == "bridge_member_failures_total" and metric.labels == {"member": meter}
        )

    async def sample(self, meter, wanted=lambda readings: True):
        def fits(found):
            return any(name.startswith(f"{meter}/") for name in found) and wanted(list(found.values()))

        return await self.bridged.sample(fits)


def good(readings):
    return all(reading.quality is Quality.GOOD for reading in readings)


@contextlib.asynccontextmanager
async def meters(tmp_path, count=2, profile="sdm120", silent=(), faults=None, **members):
    registers = registers_of(profile)
    line = MeterLine([Meter(n, registers, clock=lambda: 0.0) for n in range(1, count + 1)])
    for address in silent:
        line.set(f"{address}/silent", 1)
    units = [{"address": n, "name": f"m{n}"} for n in line.meters]
    members = {"interval": 0.05, "timeout": 0.2, "max_retry_interval": 1, "units": units} | members
    port = {"port": port_of(tmp_path / "tty"), "baud": 115_200}
    settings = settings_of(ModbusMeter, profile=profile, serial=port, **members)
    async with playing(line, tmp_path / "tty", **(faults or {})) as played:
        serving = asyncio.ensure_future(line.serve(played))
        try:
            async with bridging(ModbusMeter, settings) as bridged:
                yield Bed(played, line, bridged)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


@pytest.mark.parametrize("profile", profile_names("modbus_meter"))
async def test_what_is_set_is_read(profile, tmp_path):
    async with meters(tmp_path, profile=profile) as bed:
        names = [register.name for register in registers_of(profile) if not register.writable]
        for n, name in enumerate(names):
            bed.meters.set(f"2/{name}", 10.5 + n)
        found = await bed.sample("m2", lambda readings: good(readings) and any(r.value == 10.5 for r in readings))
        assert {name: found[f"m2/{name}"].value for name in names} == {name: 10.5 + n for n, name in enumerate(names)}
        assert found[f"m2/{names[0]}"].unit == "V"


async def test_a_silent_unit_is_reported_once_and_found_again(tmp_path):
    async with meters(tmp_path) as bed:
        await bed.sample("m1", good)
        bed.meters.set("1/silent", 1)
        bad = await bed.sample("m1", lambda readings: not good(readings))
        assert {r.reason for r in bad.values()} == {"timeout: no answer within 0.2 s"}
        for _ in range(10):
            await bed.sample("m2", good)
        assert not [s for s in list(bed.bridged.samples._queue) if any(r.name.startswith("m1/") for r in s)]
        assert bed.bridged.bridge.state is DeviceState.READING
        bed.meters.set("1/silent", 0)
        await bed.sample("m1", good)
        assert bed.failures("m1") >= 1


async def test_of_ten_units_three_are_dead_and_between_readings_of_the_others_is_one_attempt_at_most(tmp_path):
    # What that means in seconds is measured by `make bench`.
    async with meters(tmp_path, count=10, silent=(2, 5, 9), retries=0, timeout=0.1) as bed:
        for meter in ("m2", "m5", "m9"):
            await bed.sample(meter, lambda readings: not good(readings))
        alive = [f"m{n}" for n in (1, 3, 4, 6, 7, 8, 10)]
        await bed.sample("m10", good)
        order = []
        for _ in range(8):
            before = sum(map(bed.failures, ("m2", "m5", "m9")))
            round_of = [next(iter(await bed.bridged.sample())).partition("/")[0] for _ in alive]
            order.append(round_of)
            after = sum(map(bed.failures, ("m2", "m5", "m9")))
            assert after - before <= 2, "one a round, and one at its edge"
        assert order == [alive] * 8, "each in each round, in order"


async def test_damage_costs_answers_not_the_truth(tmp_path):
    async with meters(tmp_path, faults={"corrupt": 0.2}, timeout=0.05, retries=3) as bed:
        bed.meters.set("1/voltage", 230.5)
        seen = 0
        while seen < 8:
            found = await bed.sample("m1", good)
            assert found["m1/voltage"].value == 230.5
            seen += 1
        assert bed.bridged.bridge.counters()["garbled_frames"] > 0


async def test_unplugging_the_line_is_noticed_and_it_is_read_again(tmp_path):
    async with meters(tmp_path, interval=60) as bed:
        await bed.sample("m2", good)
        bed.played.execute("unplug")
        lost = await bed.sample("m1", lambda readings: not good(readings))
        assert "unplugged" in lost["m1/voltage"].reason
        bed.played.execute("replug")
        await bed.sample("m1", good)


async def test_a_write_is_read_back(tmp_path):
    async with meters(tmp_path) as bed:
        await bed.sample("m2", good)
        execute = bed.bridged.bridge.execute
        result = await execute(Command(name="m2/pulse_width", parameters={"value": 200}))
        assert (result.ok, result.detail) == (True, "written and read back")
        assert [(r.name, r.value) for r in result.readings] == [("m2/pulse_width", 200)]
        assert (await bed.sample("m2", lambda rs: any(r.value == 200 for r in rs)))["m2/pulse_width"].unit == "ms"


@pytest.mark.parametrize(
    ("name", "parameters", "named"),
    [
        ("m1/voltage", {"value": 1}, "Known are m1/pulse_width, m2/pulse_width"),
        ("m1/pulse_width", {"value": 1000}, "a number from 60 to 200"),
        ("m1/pulse_width", {}, "needs `value`"),
        ("m1/pulse_width", {"value": 60, "x": 1}, "`x` is unknown"),
    ],
)
async def test_a_wrong_write_is_refused(tmp_path, name, parameters, named):
    async with meters(tmp_path) as bed:
        await bed.sample("m1", good)
        result = await bed.bridged.bridge.execute(Command(name=name, parameters=parameters))
        assert not result.ok
        assert named in result.detail


async def test_a_write_to_a_silent_unit_fails_and_the_next_one_works(tmp_path):
    async with meters(tmp_path, silent=(1,)) as bed:
        await bed.sample("m2", good)
        execute = bed.bridged.bridge.execute
        dead = await execute(Command(name="m1/pulse_width", parameters={"value": 100}))
        assert (dead.ok, "no answer" in dead.detail) == (False, True)
        assert (await execute(Command(name="m2/pulse_width", parameters={"value": 100}))).ok


async def test_what_a_unit_refuses_is_bad_and_the_rest_good(tmp_path):
    registers = [
        {"name": "voltage", "address": 0, "type": "f32"},
        {"name": "nothing", "address": 4000, "type": "f32"},
    ]
    async with meters(tmp_path, registers=registers) as bed:
        found = await bed.sample("m1")
        assert found["m1/voltage"].quality is Quality.GOOD
        assert found["m1/nothing"].reason == "refused: illegal data address"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({}, "registers"),
        ({"profile": "sdm121"}, "profile"),
        ({"profile": "sdm120", "units": [{"address": 1}, {"address": 1, "name": "b"}]}, "units.address"),
        ({"profile": "sdm120", "units": [{"address": 1}, {"address": 2}]}, "units.name"),
        ({"profile": "sdm120", "units": [{"address": 256}]}, "units"),
        ({"profile": "sdm120", "units": [{"address": 0}]}, "units"),
        ({"profile": "sdm120", "units": [{"profile": "x"}]}, "profile"),
        ({"registers": [{"name": "a", "address": 70_000}]}, "registers"),
        ({"registers": [{"name": "a", "address": 0, "table": "input", "writable": True}]}, "registers.a.writable"),
        ({"registers": [{"name": "a", "address": 0, "table": "discrete", "writable": True}]}, "registers.a.writable"),
        ({"registers": [{"name": "a", "address": 0, "bits": [12, 5]}]}, "registers.a.bits"),
        ({"registers": [{"name": "a", "address": 0, "type": "f32", "bits": [0, 1]}]}, "registers.a.bits"),
        ({"registers": [{"name": "a", "address": 0, "type": "f32", "words": 3}]}, "registers.a.words"),
        ({"registers": [{"name": "a", "address": 0, "write_function": 5}]}, "registers.a.write_function"),
        ({"registers": [{"name": "a", "address": 0, "type": "u32", "write_function": 6}]}, "write_function"),
        ({"registers": [{"name": "a", "address": 0, "scale_address": 200}]}, "registers.a.scale_address"),
        ({"registers": [{"name": "a", "address": 65_535, "type": "u32"}]}, "registers.a.address"),
    ],
)
def test_wrong_settings_name_the_field(members, field):
    with pytest.raises(SettingsError) as caught:
        ModbusMeter.check_settings(settings_of(ModbusMeter, serial={"port": "/dev/x"}, **members))
    assert field in caught.value.field


def test_old_names_of_settings_are_taken():
    serial = {"port": "/dev/x", "coalesce_s": 0.02, "rs485": {"delay_before_send_s": 0.001}}
    settings = settings_of(ModbusMeter, serial=serial, profile="sdm120", timeout_s=0.3, longest_absence=9)
    assert (settings.timeout, settings.max_retry_interval) == (0.3, 9)
    assert (settings.serial.coalesce, settings.serial.rs485.delay_before_send) == (0.02, 0.001)


def test_each_writable_register_is_a_command_of_its_own_type():
    registers = [
        {"name": "level", "address": 0, "table": "holding", "valid": [0, 10], "unit": "m", "writable": True},
        {"name": "pump", "address": 1, "table": "coil", "writable": True},
        {"name": "label", "address": 2, "table": "holding", "type": "text", "words": 4, "writable": True},
        {"name": "seen", "address": 9, "table": "holding"},
    ]
    settings = settings_of(ModbusMeter, serial={"port": "/dev/x"}, registers=registers)
    ModbusMeter.check_settings(settings)
    expected = {spec.name: spec.parameters[0].expected for spec in ModbusMeter.commands_of(settings)}
    assert expected == {
        "level": "a whole number from 0 to 10 (m)",
        "pump": "true or false",
        "label": "text of at most 1000 characters",
    }


def test_a_unit_can_have_a_profile_of_its_own():
    units = [{"address": 1, "name": "a"}, {"address": 2, "name": "b", "profile": "sdm630"}]
    settings = settings_of(ModbusMeter, serial={"port": "x"}, profile="sdm120", units=units)
    names = {quantity.name for quantity in ModbusMeter.quantities_of(settings)}
    assert {"a/voltage", "b/voltage_l1"} <= names


@pytest.mark.clock("real")
async def test_the_emulators_process_says_how_to_reach_it(tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "modbus_meter.emulator", "--units", "3", "--silent", "2"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        told = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))["settings"]
        settings = settings_of(ModbusMeter, **{**told, "interval": 0.1, "timeout": 0.2})
        async with bridging(ModbusMeter, settings) as bridged:
            await bridged.sample(lambda found: "meter3/voltage" in found and good(found.values()))
            await bridged.sample(lambda found: "meter2/voltage" in found or good(found.values()))
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0
