"""Each profile against its emulated device: what is set is read, commands are obeyed, faults are survived."""

import asyncio
import contextlib
import json
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serial.tools import list_ports

from device_bridge import Command, Quality, SettingsError
from device_bridge.protocols import framer_for
from device_bridge.settings import profile_names
from device_bridge.supervision import DeviceState
from serial_instrument.description import Description
from serial_instrument.emulator import DEVICES
from serial_instrument.records import reader_for
from serial_instrument.service import SerialInstrument

from .serving import bridging, playing, port_of, settings_of

pytestmark = pytest.mark.clock("movable")


def profile(name, path="/dev/x", **members):
    port = path if isinstance(path, str) else port_of(path)
    return settings_of(SerialInstrument, profile=name, serial={"port": port}, **members)


def test_every_profile_has_an_emulated_device():
    assert profile_names("serial_instrument") == sorted(DEVICES)


# What is set, the quantity it is read as, its range in whole steps, and a step.
SETTABLE = [
    ("bench_scale", "load", "weight", -8_000, 420_000, 0.01),
    ("arduino_json", "temperature", "temperature", -4000, 8500, 0.01),
    ("arduino_json", "humidity", "humidity", 0, 1000, 0.1),
    ("arduino_json", "light", "light", 0, 1023, 1 / 1023),
    ("pms5003", "pm2_5", "pm2_5", 0, 1000, 1),
    ("pms5003", "pm10", "pm10", 0, 1000, 1),
    ("pms5003", "particles_0_3um", "particles_0_3um", 0, 65_535, 1),
    ("mhz19", "co2", "co2", 0, 5000, 1),
    ("dsmr_p1", "power", "power_imported", 0, 99_000, 0.001),
    ("dsmr_p1", "imported", "energy_imported_1", 0, 999_999_000, 0.001),
    ("dsmr_p1", "gas", "gas", 0, 99_999_000, 0.001),
    ("ve_direct", "voltage", "voltage", 0, 95_000, 0.001),
    ("ve_direct", "current", "current", -500_000, 500_000, 0.001),
    ("ve_direct", "charge", "charge", 0, 1000, 0.1),
    ("ve_direct", "cycles", "cycles", 0, 9999, 1),
    ("sds011", "pm2_5", "pm2_5", 0, 9990, 0.1),
    ("sds011", "pm10", "pm10", 0, 9990, 0.1),
    ("qpigs_inverter", "output_power", "output_power", 0, 9949, 1),
    ("qpigs_inverter", "battery", "battery_voltage", 0, 9900, 0.01),
    ("streaming_scale", "load", "weight", -8_000, 420_000, 0.01),
    ("vaisala_wxt", "wind_speed", "wind_speed", 0, 600, 0.1),
    ("vaisala_wxt", "temperature", "temperature", -520, 600, 0.1),
    ("vaisala_wxt", "pressure", "pressure", 6000, 11_000, 0.1),
]
UNITS = {"power_imported": 1000}
"""What one unit of the device's is in readings."""


@pytest.mark.parametrize(("name", "quantity", "read_as", "low", "high", "step"), SETTABLE)
@given(data=st.data())
def test_what_is_set_is_read_within_the_resolution(name, quantity, read_as, low, high, step, data):
    value = data.draw(st.integers(low, high)) * step
    settings, device = profile(name), DEVICES[name](clock=lambda: 0.0)
    device.set(quantity, value)
    described = Description(settings)
    frames = [frame for request in described.start for frame in device.receive(request.data({}))]
    frames += [frame for _ in range(3) for frame in device.tick()]
    for question in described.questions:
        frames += device.receive(question.data({}))
    found = framer_for(settings.framing).feed(b"".join(frames))
    readings = {r.name: r for frame in found for r in described.sample(frame)}
    assert readings[read_as].value == pytest.approx(value * UNITS.get(read_as, 1), rel=1e-9, abs=step / 2 + 1e-6)
    assert readings[read_as].quality is Quality.GOOD


@pytest.mark.clock("movable", "real")
@pytest.mark.parametrize("name", DEVICES)
async def test_readings_come_and_survive_damage_garbage_and_unplugging(name, tmp_path):
    device = DEVICES[name]()
    device.interval_s = 0.01 if device.interval_s else 0.0
    faster = {"poll": {"interval": 0.01, "timeout": 0.1}} if profile(name).poll else {}
    polls = profile(name).polls
    if polls:  # split holds the end of an answer back until the next question, which is another one
        often = next(iter(polls))
        faster = {"polls": {each: {"interval": 0.01 if each == often else 600, "timeout": 0.1} for each in polls}}
    settings = profile(name, tmp_path / "tty", **faster)
    async with playing(device, tmp_path / "tty", corrupt=0.2, drop=0.1, duplicate=0.1, split=not polls) as played:
        async with bridging(SerialInstrument, settings) as bridged:
            for _ in range(20):
                await bridged.sample(lambda found: any(r.quality is Quality.GOOD for r in found.values()))
            assert played.execute("unplug") == "ok"
            bad = await bridged.sample(lambda found: bridged.bridge.state is DeviceState.FAILED)
            while any(r.value is not None for r in bad.values()):
                bad = await bridged.sample()
            assert {r.name for r in bad.values()} <= {q.name for q in SerialInstrument.quantities_of(settings)}
            assert played.execute("replug") == "ok"
            await bridged.sample(lambda found: any(r.quality is Quality.GOOD for r in found.values()))
            assert bridged.bridge.state is DeviceState.READING


async def test_a_silent_device_is_stale_and_a_lost_one_bad(tmp_path):
    device = DEVICES["arduino_json"]()
    device.interval_s = 0.01
    async with playing(device, tmp_path / "tty") as played:
        async with bridging(SerialInstrument, profile("arduino_json", tmp_path / "tty", stale_after=0.2)) as bridged:
            await bridged.sample()
            played.execute("silent on")
            stale = await bridged.sample(lambda found: bridged.bridge.state is DeviceState.STALE)
            while stale["temperature"].quality is not Quality.STALE:
                stale = await bridged.sample()
            assert stale["temperature"].value is not None
            played.execute("silent off")
            await bridged.sample(lambda found: found["temperature"].quality is Quality.GOOD)
            played.execute("unplug")
            lost = await bridged.sample(lambda found: found["temperature"].quality is Quality.BAD)
            assert "unplugged" in lost["temperature"].reason


async def test_a_wrong_rate_is_garbage_and_the_right_one_is_read_again(tmp_path):
    device = DEVICES["pms5003"]()
    device.interval_s = 0.01
    async with playing(device, tmp_path / "tty") as played:
        async with bridging(SerialInstrument, profile("pms5003", tmp_path / "tty", stale_after=0.2)) as bridged:
            await bridged.sample()
            played.execute("baud 4800")
            await bridged.sample(lambda found: found["pm1"].quality is Quality.STALE)
            played.execute("baud 9600")
            await bridged.sample(lambda found: found["pm1"].quality is Quality.GOOD)


@contextlib.asynccontextmanager
async def scale(tmp_path, **members):
    device = DEVICES["bench_scale"](clock=lambda: 0.0)
    async with playing(device, tmp_path / "tty") as played:
        settings = profile("bench_scale", tmp_path / "tty", **{"poll": {"interval": 0.01, "timeout": 0.1}, **members})
        async with bridging(SerialInstrument, settings) as bridged:
            await bridged.sample()
            yield device, played, bridged


async def test_a_command_changes_what_is_read_and_its_answer_is_the_result(tmp_path):
    async with scale(tmp_path) as (device, _, bridged):
        device.set("load", 1234.5)
        result = await bridged.bridge.execute(Command(name="tare"))
        assert (result.ok, result.detail.split()) == (True, ["T", "S", "1234.50", "g"])
        assert (await bridged.sample(lambda found: found["weight"].value == 0))["stable"].value is True
        await bridged.bridge.execute(Command(name="show", parameters={"value": "hello {x}"}))
        assert device.shown == "hello {x}"


async def test_a_refusal_is_a_failed_result(tmp_path):
    async with scale(tmp_path) as (device, _, bridged):
        device.set("moving", 1)
        result = await bridged.bridge.execute(Command(name="tare"))
        assert (result.ok, result.detail) == (False, "T I")
        assert (await bridged.sample(lambda found: found["stable"].value is False))["weight"].value is not None


async def test_overload_is_no_weight(tmp_path):
    async with scale(tmp_path) as (device, _, bridged):
        device.set("load", 4999)
        found = await bridged.sample(lambda found: found["weight"].value is None)
        assert found["weight"].reason == "overload"


async def test_a_command_without_an_answer_fails_in_time_and_the_next_one_works(tmp_path):
    async with scale(tmp_path, commands={"tare": {"timeout": 0.1}}) as (_, played, bridged):
        played.execute("silent on")
        result = await bridged.bridge.execute(Command(name="tare"))
        assert (result.ok, "no answer within 0.1 s" in result.detail) == (False, True)
        played.execute("silent off")
        assert (await bridged.bridge.execute(Command(name="tare"))).ok


async def test_a_poll_without_an_answer_is_reported_once(tmp_path):
    async with scale(tmp_path, stale_after=0) as (_, played, bridged):
        played.execute("silent on")
        bad = await bridged.sample(lambda found: found["weight"].value is None)
        assert bad["weight"].reason == "no answer within 0.1 s"
        played.execute("silent off")
        following = await bridged.sample()
        assert following["weight"].quality is Quality.GOOD, "no second report in between"


@pytest.mark.parametrize(
    ("name", "parameters", "named"),
    [
        ("weigh", {}, "Known are tare, zero, show"),
        ("tare", {"value": 1}, "parameter `value` is unknown to tare"),
        ("show", {}, "show needs `value`"),
        ("show", {"value": "a\r\nZ"}, "control characters"),
        ("show", {"value": "x" * 201}, "more than 200"),
        ("show", {"value": float("inf")}, "value"),
        ("show", {"value": float("nan")}, "value"),
        ("show", {"value": 10**400}, "value"),
    ],
)
async def test_a_wrong_command_is_refused_and_nothing_is_sent(tmp_path, name, parameters, named):
    async with scale(tmp_path) as (device, _, bridged):
        result = await bridged.bridge.execute(Command(name=name, parameters=parameters))
        assert not result.ok
        assert named in result.detail
        assert (device.shown, device.zero_g) == ("", 0.0)


async def test_commands_of_binary_devices(tmp_path):
    device = DEVICES["mhz19"]()
    settings = profile("mhz19", tmp_path / "tty", poll={"interval": 0.01})
    async with playing(device, tmp_path / "tty"), bridging(SerialInstrument, settings) as bridged:
        await bridged.sample()
        assert (await bridged.bridge.execute(Command(name="calibrate_span", parameters={"value": 2000}))).ok
        refused = await bridged.bridge.execute(Command(name="calibrate_span", parameters={"value": 9000}))
        assert "is not a whole number from 1000 to 5000" in refused.detail
        await bridged.sample()
        assert device.obeyed == [b"\xff\x01\x88\x07\xd0\x00\x00\x00"]


async def test_modes_of_the_particle_sensor(tmp_path):
    device = DEVICES["pms5003"]()
    device.interval_s = 0.01
    async with playing(device, tmp_path / "tty"):
        async with bridging(SerialInstrument, profile("pms5003", tmp_path / "tty")) as bridged:
            await bridged.sample()
            assert (await bridged.bridge.execute(Command(name="passive"))).ok
            assert not device.active
            assert (await bridged.bridge.execute(Command(name="active"))).ok
            assert (await bridged.bridge.execute(Command(name="sleep"))).ok


async def test_a_scanner_triggered_by_command(tmp_path):
    device = DEVICES["barcode_scanner"]()
    device.set("code", "]C0AB-12")
    device.interval_s = 0.0
    async with playing(device, tmp_path / "tty"):
        async with bridging(SerialInstrument, profile("barcode_scanner", tmp_path / "tty")) as bridged:
            while bridged.bridge.state is DeviceState.STARTING:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.2)  # what comes sooner may be half a code
            assert (await bridged.bridge.execute(Command(name="trigger"))).ok
            found = await bridged.sample()
            assert (found["code"].value, found["symbology"].value) == ("AB-12", "C0")


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"profile": "nothing"}, "profile"),
        ({"record": {"type": "regex", "pattern": "("}}, "record.pattern"),
        ({"record": {"type": "regex", "pattern": "(?P<x>.)"}, "fields": [{"name": "y"}]}, "fields.key"),
        ({"record": {"type": "struct", "format": ">Q!"}}, "record.format"),
        ({"record": {"type": "struct", "format": ">H"}, "fields": [{"name": "y", "key": 2}]}, "fields.key"),
        ({"record": {"type": "csv"}, "fields": [{"name": "y", "key": 0}]}, "fields.key"),
        ({"ignore": "["}, "ignore"),
        ({"no_value": {"[": "x"}}, "no_value"),
        ({"commands": {"x": {"send": "\\x"}}}, "commands.x.send"),
        ({"commands": {"x": {"send": "X", "answer": "("}}}, "commands.x.answer"),
        ({"poll": {"send": "{value}"}}, "poll.send"),
        ({"framing": {"type": "line", "checksum": {"algorithm": "CRC-99"}}}, "checksum.algorithm"),
        ({"fields": []}, "fields"),
        ({"fields": [{"name": "a b"}]}, "fields"),
    ],
)
def test_wrong_settings_name_the_field(members, field):
    with pytest.raises(SettingsError) as caught:
        SerialInstrument.check_settings(settings_of(SerialInstrument, serial={"port": "/dev/x"}, **members))
    assert field in caught.value.field


RECORDS = [
    ({"type": "regex", "pattern": r"T=(?P<t>[-\d.]+) H=(\d+)"}, b"T=-4.5 H=40", {"t": "-4.5", 2: "40"}),
    ({"type": "csv", "separator": ";"}, b'1;"a;b";3', {1: "1", 2: "a;b", 4: None}),
    ({"type": "json"}, b'{"a":{"b":[1,{"c":"x"}]}}', {"a.b.0": 1, "a.b.1.c": "x", "a.b": None, "z": None}),
    ({"type": "key_value"}, b"T=1.5, H = 40", {"T": "1.5", "H": " 40", "X": None}),
    ({"type": "struct", "format": "<hB2s"}, b"\xff\xff\x02ab", {1: -1, 2: 2, 3: "ab"}),
]


@pytest.mark.parametrize(("record", "frame", "raw"), RECORDS)
def test_records_are_taken_apart(record, frame, raw):
    fields = [{"name": f"f{n}", "key": key} for n, key in enumerate(raw)]
    settings = settings_of(SerialInstrument, serial={"port": "x"}, record=record, fields=fields)
    get = reader_for(settings.record, list(raw))(frame, Description(settings).text(frame))
    assert {key: get(key) for key in raw} == raw


@pytest.mark.parametrize(("record", "frame", "raw"), RECORDS)
@given(garbage=st.binary(max_size=50))
def test_garbage_is_malformed_or_a_reading_never_an_error(record, frame, raw, garbage):
    fields = [{"name": f"f{n}", "key": key} for n, key in enumerate(raw)]
    described = Description(settings_of(SerialInstrument, serial={"port": "x"}, record=record, fields=fields))
    sample = described.sample(garbage)
    assert {reading.name for reading in sample} <= {field["name"] for field in fields}
    assert bool(sample) == (described.malformed == 0)


@pytest.mark.parametrize(
    ("field", "raw", "value", "reason"),
    [
        ({"scale": 0.1, "offset": -40}, "615", 21.5, ""),
        ({"decimal": ",", "grouping": " "}, "1 234,5", 1234.5, ""),
        ({"missing": [-999, "--"]}, "-999.0", None, "no value (-999.0)"),
        ({"missing": [-999, "--"]}, "--", None, "no value (--)"),
        ({}, "nan", None, "not a number ('nan')"),
        ({}, "twelve", None, "not a number ('twelve')"),
        ({}, True, None, "not a number (True)"),
        ({}, "  ", None, "no value"),
        ({"kind": "boolean"}, "ON", True, ""),
        ({"kind": "boolean"}, "maybe", None, "not a state ('maybe')"),
        ({"kind": "text"}, "x" * 2000, "x" * 2000, ""),
        ({"kind": "text"}, "x" * 20_000, None, "text of 20000 characters; at most 16384 are sent"),
        ({"values": {"OK": 1, "ERR": 0}}, "ERR", 0, ""),
        ({"values": {"OK": 1}}, "WHAT", None, "unknown value 'WHAT'"),
    ],
)
def test_what_a_raw_value_means(field, raw, value, reason):
    settings = settings_of(SerialInstrument, serial={"port": "x"}, fields=[{"name": "value", **field}])
    reading = settings.fields[0].reading(raw)
    assert (reading.value, reading.reason) == (value, reason)
    assert (reading.quality is Quality.BAD) == (value is None)


async def control(process, text):
    process.stdin.write(text.encode() + b"\n")
    return json.loads(await asyncio.wait_for(process.stdout.readline(), 60))["result"]


class Deaf:
    """Ignores a question that comes within a second of its last answer."""

    controls = {}

    def __init__(self):
        self.answered_at, self.ignored = -1.0, 0

    def tick(self):
        return []

    def receive(self, data):
        now = asyncio.get_running_loop().time()
        if now - self.answered_at < 1.0:
            self.ignored += 1
            return []
        self.answered_at = now
        return [b"21.5\r\n"]


@pytest.mark.parametrize(("pause", "is_heard"), [(1.1, True), (0.0, False)])
async def test_a_device_that_wants_a_pause_before_a_question_gets_it(tmp_path, pause, is_heard):
    device = Deaf()
    poll = {"send": "?\r\n", "interval": 0.2, "timeout": 0.2}
    settings = settings_of(SerialInstrument, serial={"port": port_of(tmp_path / "tty")}, poll=poll, pause=pause)
    async with playing(device, tmp_path / "tty"), bridging(SerialInstrument, settings) as bridged:
        for _ in range(4):
            await bridged.sample(lambda found: found["value"].value == 21.5)
    assert (device.ignored == 0) is is_heard


@pytest.mark.clock("real")
async def test_the_emulators_process_obeys_its_control_input(tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "serial_instrument.emulator", "--profile", "mhz19", "--link", str(tmp_path / "tty")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        first = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))["settings"]
        settings = settings_of(SerialInstrument, **first, poll={"interval": 0.02, "timeout": 0.2})
        async with bridging(SerialInstrument, settings) as bridged:
            assert await control(process, "set co2 1234") == "ok"
            await bridged.sample(lambda found: found["co2"].value == 1234)
            assert await control(process, "unplug") == "ok"
            await bridged.sample(lambda found: found["co2"].value is None)
            assert await control(process, "replug") == "ok"
            await bridged.sample(lambda found: found["co2"].value == 1234)
        for text, said in [
            ("fly", "unknown"),
            ("set co2 9999", "cannot be"),
            ("set weight 1", "can be set"),
            ("drop 2", "from 0 to 1"),
            ("baud x", "invalid literal"),
            ("silent maybe", "neither on nor off"),
            ("pause", "takes 1"),
            ("rename other", "is plugged in"),
        ]:
            assert said in await control(process, text)
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0
    assert not (tmp_path / "tty").exists()


@pytest.mark.clock("real")
async def test_a_device_that_comes_back_under_another_name_is_found_by_what_it_is(tmp_path, monkeypatch):
    present = [tmp_path / "ttyUSB0"]

    def comports():
        return [
            SimpleNamespace(device=str(path), vid=0x1A86, pid=0x7523, serial_number=None)
            for path in present
            if path.exists()
        ]

    monkeypatch.setattr(list_ports, "comports", comports)
    device = DEVICES["arduino_json"]()
    device.interval_s = 0.01
    async with playing(device, tmp_path / "ttyUSB0") as played:
        async with bridging(SerialInstrument, profile("arduino_json", "usb:1a86:7523")) as bridged:
            await bridged.sample()
            played.execute("unplug")
            lost = await bridged.sample(lambda found: found["temperature"].value is None)
            assert "unplugged" in lost["temperature"].reason
            present[:] = [tmp_path / "ttyUSB7"]
            assert played.execute(f"rename {tmp_path / 'ttyUSB7'}") == "ok"
            played.execute("replug")
            await bridged.sample(lambda found: found["temperature"].quality is Quality.GOOD)
