"""Records as devices of the field send them: every value is right, or there is none, and it is counted."""

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Command, Quality, SettingsError
from device_bridge.protocols import framer_for
from serial_instrument.description import Description
from serial_instrument.emulator import DEVICES
from serial_instrument.service import SerialInstrument
from simulated_devices import SerialFaults

from .serving import bridging, playing, port_of, settings_of

pytestmark = pytest.mark.clock("movable")


def described(**members):
    return Description(settings_of(SerialInstrument, serial={"port": "x"}, **members))


def values(sample):
    """Readings as name to value; a bad one as name to (None, reason)."""
    return {r.name: (None, r.reason) if r.quality is Quality.BAD else r.value for r in sample}


def read(frame, fields, **record):
    return values(described(record=record, fields=fields).sample(frame))


def through(members, data):
    """The samples in a stream of bytes, and how many frames were given up."""
    settings = settings_of(SerialInstrument, serial={"port": "x"}, **members)
    framer, device = framer_for(settings.framing), Description(settings)
    samples = [values(device.sample(frame)) for frame in framer.feed(data)]
    return samples, framer.garbled


# What a record does not speak of


def test_lines_by_turns_speak_of_what_is_in_them():
    fields = [
        {"name": "dir", "key": "Dm", "unit": "deg", "units": {"D": 1}},
        {"name": "temp", "key": "Ta", "unit": "Cel", "units": {"C": 1}},
    ]
    device = described(record={"type": "key_value"}, fields=fields)
    assert values(device.sample(b"0R1,Dn=230D,Dm=236D")) == {"dir": 236}
    assert values(device.sample(b"0R2,Ta=23.6C")) == {"temp": 23.6}
    assert device.malformed == 0


KINDS = {
    "wind": {
        "match": "^0R1,",
        "record": {"type": "regex", "pattern": r".*Dm=(?P<dir>\d+)D.*"},
        "fields": [{"name": "dir"}],
    },
    "air": {
        "match": "^0R2,",
        "record": {"type": "regex", "pattern": r".*Ta=(?P<temp>[-\d.]+)C.*"},
        "fields": [{"name": "temp"}],
    },
}


def test_kinds_of_records_are_distinguished():
    device = described(records=KINDS)
    assert values(device.sample(b"0R1,Dn=230D,Dm=236D")) == {"dir": 236}
    assert values(device.sample(b"0R2,Ta=23.6C")) == {"temp": 23.6}
    assert (device.sample(b"0R5,Vs=12.0V"), device.malformed) == ((), 1)


@pytest.mark.parametrize(
    ("presence", "sample"),
    [("usual", {"t": 21.5}), ("required", {"t": 21.5, "h": (None, "not in the record")}), ("optional", {"t": 21.5})],
)
def test_a_field_is_required_only_where_the_settings_say_so(presence, sample):
    fields = [{"name": "t"}, {"name": "h", "presence": presence}]
    assert read(b"t=21.5", fields, type="key_value") == sample


def test_a_null_is_no_value_and_an_absent_member_is_nothing():
    assert read(b'{"t":null}', [{"name": "t"}, {"name": "h"}], type="json") == {"t": (None, "no value")}
    assert read(b"1;;3", [{"name": "b", "key": 2}, {"name": "d", "key": 4}], type="csv", separator=";") == {
        "b": (None, "no value")
    }


# Numbers


def test_hexadecimal_words_of_a_weather_station():
    pattern = r"\$ULTW(?P<a>.{4})(?P<b>.{4})(?P<c>.{4})(?P<d>.{4})?.*"
    fields = [{"name": name, "base": 16, "missing": ["----"], "bits": 16} for name in "abcd"]
    frame = b"$ULTW004000E101E2--"
    assert read(frame, fields, type="regex", pattern=pattern) == {"a": 64, "b": 225, "c": 482}
    assert read(b"$ULTW0040FFF601E2----", fields, type="regex", pattern=pattern) == {
        "a": 64,
        "b": -10,
        "c": 482,
        "d": (None, "no value (----)"),
    }


@pytest.mark.parametrize(
    ("field", "raw", "value"),
    [
        ({}, "00E1", None),
        ({}, "1e3", None),
        ({"exponent": True}, "+1.50E-03", 0.0015),
        ({}, "2_1", None),
        ({}, "21.5 40", None),
        ({}, "1,234", None),
        ({}, "0x10", None),
        ({}, "infinity", None),
        ({}, "\u0661\u0662", None),
        ({}, "-   12.5", -12.5),
        ({}, "12.5-", -12.5),
        ({}, "-12.5-", None),
        ({}, "12345678901234567", 12345678901234567),
        ({"decimal": ","}, "21,5", 21.5),
        ({"decimal": ","}, "21.5", None),
        ({"decimal": ","}, "21,5 40", None),
        ({"decimal": ",", "grouping": "."}, "1.234,5", 1234.5),
        ({"decimal": ",", "grouping": "."}, "1.23,5", None),
        ({"decimal": ",", "missing": [-99.9]}, "-99,9", None),
        ({"missing": [-99.9]}, "-99.90", None),
        ({"base": 16}, "0xA381", 0xA381),
        ({"base": 2, "bits": 8}, "11111110", -2),
        ({"base": 16, "bits": 8}, "1FF", None),
        ({"base": 16}, "G1", None),
        ({"values": {"true": 1, "false": 0}}, True, 1),
        ({"values": {"1": "one"}}, 1.0, "one"),
        ({"missing": [1]}, True, None),
        ({"scale": 0.1}, 3, 0.3),
    ],
)
def test_what_is_not_surely_this_number_is_none(field, raw, value):
    settings = settings_of(SerialInstrument, serial={"port": "x"}, fields=[{"name": "x", **field}])
    reading = settings.fields[0].reading(raw)
    assert (reading.value, reading.quality is Quality.BAD) == (value, value is None)


def test_true_is_not_the_missing_one():
    assert read(b'{"x":true}', [{"name": "x", "missing": [1]}], type="json") == {"x": (None, "not a number (True)")}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        *(
            ("21.5", 21.5),
            ("  -12.5 ", -12.5),
            ("23.6C", 23.6),
            ("+ 1.5 kg", 1.5),
            ("40 %", 40),
            ("1.50E-03", 0.0015),
        ),
        *(("00E1", None), ("1E5A", None), ("3F", None), ("0xFF", None), ("21,5", None), ("1.234,5", None)),
        *(("21.5 40", None), ("2_1", None), ("1'000", None), ("12:30", None), ("12.5-", None), ("1 234.5", None)),
    ],
)
def test_a_line_that_is_not_described_is_one_number_or_none(line, value):
    device = described()
    assert values(device.sample(line.encode())) == ({} if value is None else {"value": value})
    assert device.malformed == (value is None)


@pytest.mark.parametrize(
    ("sign", "value"), [("-", -12.5), ("+", 12.5), ("", 12.5), ("x", (None, "unknown sign 'x'"))]
)
def test_a_sign_in_a_column_of_its_own(sign, value):
    fields = [{"name": "x", "key": 2, "sign_key": 1}]
    assert read(f"{sign};12.5".encode(), fields, type="csv", separator=";") == {"x": value}


# Checks anywhere


P1 = {"profile": "dsmr_p1"}


def test_a_telegram_with_one_digit_changed_is_nothing_and_counted():
    device = DEVICES["dsmr_p1"](clock=lambda: 0.0)
    (telegram,) = device.tick()
    ((sample,), garbled) = through(P1, telegram)
    assert (sample["energy_imported_1"], sample["power_imported"], sample["gas"], garbled) == (
        1934.567,
        1200,
        2785.123,
        0,
    )
    assert through(P1, telegram.replace(b"001934.567", b"001934.667")) == ([], 1)
    samples, garbled = through(P1, telegram.replace(b"001934.567", b"001934.667") + telegram)
    assert (len(samples), garbled) == (1, 1)


def test_a_published_telegram_with_its_crc():
    # Example of the DSMR 5 companion standard, section 6.12, cut down; its own CRC was calculated again by hand.
    body = b"/ISk5\\2MT382-1000\r\n\r\n1-0:1.8.1(123456.789*kWh)\r\n!"
    crc = 0
    for byte in body:  # CRC-16/ARC, bit by bit, as another way to the same value
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    ((sample,), _) = through(P1, body + f"{crc:04X}\r\n".encode())
    assert sample == {"energy_imported_1": 123456.789}


def test_a_water_meter_is_not_read_as_the_gas_meter():
    device = DEVICES["dsmr_p1"](clock=lambda: 0.0)
    water = b"0-1:24.1.0(007)\r\n0-1:24.2.1(260102115500W)(00872.234*m3)\r\n"
    own, gas = device.tick()[0][:-6].split(b"0-1:24.1.0(003)")
    gas = b"0-1:24.1.0(003)" + gas
    for rest, wanted in [
        (water + gas.replace(b"0-1:", b"0-2:"), {"gas": 2785.123, "water": 872.234}),
        (
            gas.replace(b"0-1:", b"0-2:").replace(b"24.2.1", b"24.2.3")[:-1] + water + b"!",
            {"gas": 2785.123, "water": 872.234},
        ),
        (water + b"!", {"water": 872.234}),
        (gas.replace(b"003", b"012"), {}),
    ]:
        checksum = described(**P1).checksum
        ((sample,), _) = through(P1, checksum.append(own + rest) + b"\r\n")
        assert {name: value for name, value in sample.items() if name in ("gas", "water")} == wanted


def test_dust_at_17_1_holds_the_end_mark():
    # 17.1 ug/m3 is 171, 0xab.
    frame = bytes.fromhex("aac0ab00ab00a16057ab")
    assert sum(frame[2:8]) & 0xFF == frame[8]
    wanted = {"pm2_5": 17.1, "pm10": 17.1}
    assert through({"profile": "sds011"}, b"\xab\xaa" + frame * 3) == ([wanted] * 3, 1)
    marks = {
        "type": "marks",
        "start": "\\xaa",
        "end": "\\xab",
        "keep_marks": True,
        "checksum": {"algorithm": "SUM-8", "position": -2, "over": [2, -2]},
    }
    fields = [{"name": "pm2_5", "key": 1, "scale": 0.1}, {"name": "pm10", "key": 2, "scale": 0.1}]
    members = {"framing": marks, "record": {"type": "struct", "format": "<2xHH2xx"}, "fields": fields}
    assert through(members, frame * 3) == ([wanted] * 3, 0)


def test_blocks_whose_bytes_add_up_to_zero():
    # Two blocks of a battery monitor, one of the HEX protocol's messages within the second.
    first = b"\r\nPID\t0xA381\r\nV\t12800\r\nI\t-2500\r\nSOC\t876\r\nTTG\t-1\r\nChecksum\t"
    second = b"\r\nH1\t-55000\r\nH4\t12\r\nH18\t3456\r\nChecksum\t"
    first += bytes((-sum(first) & 0xFF,))
    second += bytes((-sum(second) & 0xFF,))
    one = {"product": 0xA381, "voltage": 12.8, "current": -2.5, "charge": 87.6, "time_to_go": (None, "no value (-1)")}
    two = {"cycles": 12, "energy_charged": 34.56}
    members = {"profile": "ve_direct"}
    assert through(members, first + second) == ([one, two], 0)
    with_hex = second[:8] + b":A0102000543\n" + second[8:]
    assert through(members, first + b":7F0ED0071\n" + with_hex) == ([one, two], 0)
    assert through(members, first.replace(b"12800", b"12801") + second) == ([two], 1)
    assert through(members, first[:-1] + second + first) == ([two, one], 1), "a lost byte costs its block alone"
    assert through(members, first[20:] + second) == ([two], 1), "joined in the middle of a block"


@pytest.mark.parametrize(
    ("checksum", "frame"),
    [
        ({"algorithm": "XOR", "notation": "hex", "position": -2, "over": [1, -3]}, b"$A1*70"),
        ({"algorithm": "SUM-8", "notation": "decimal"}, b"12.5;001"),
        (
            {"algorithm": "SUM-16", "notation": "hex", "position": 0, "over": [4]},
            b"006734",
        ),
        ({"algorithm": "LRC", "position": 1, "over": [0]}, b"\x01\xfa\x02\x03"),
    ],
)
def test_checks_in_any_place_and_notation(checksum, frame):
    members = {
        "framing": {"type": "delimiter", "delimiter": "\\n", "checksum": checksum},
        "record": {"type": "regex", "pattern": "(?s)(?P<x>.*)"},
        "fields": [{"name": "x", "kind": "text"}],
    }
    samples, garbled = through(members, frame + b"\n")
    assert (len(samples), garbled) == (1, 0)
    damaged = frame[:-1] + bytes((frame[-1] ^ 1,))
    assert through(members, damaged + b"\n") == ([], 1)


@pytest.mark.parametrize("name", ["dsmr_p1", "ve_direct", "sds011", "pms5003"])
@given(seed=st.integers(0, 2**32), noise=st.lists(st.binary(max_size=30), max_size=5))
def test_what_is_damaged_on_the_way_is_never_sent_as_good(name, seed, noise):
    device = DEVICES[name](clock=lambda: 0.0)
    right = {}
    for frame in device.tick():
        for sample in through({"profile": name}, frame)[0]:
            right |= sample
    faults = SerialFaults(corrupt=0.3, drop=0.1, duplicate=0.1, split=True, seed=seed)
    frames = [frame for n in range(10) for frame in (*device.tick(), *noise[n : n + 1])]
    samples, _ = through({"profile": name}, b"".join([*map(faults.apply, frames), faults.rest()]))
    for sample in samples:
        assert sample.items() <= right.items()


# Text


@pytest.mark.parametrize(
    "code", ["x" * 1403, "\x1d0104012345123456\x1d", " 4711 ", "Grün", "]C0 A", "a\x00b", "1e5", "001"]
)
def test_text_is_unchanged(code):
    assert through({"profile": "barcode_scanner"}, code.encode() + b"\r")[0][0]["code"] == (
        code if not code.startswith("]") else code[3:]
    )


def test_text_that_is_too_long_is_refused_and_counted():
    columns = {"record": {"type": "csv"}, "fields": [{"name": "code", "key": 1, "kind": "text"}]}
    device = described(framing={"type": "line", "max_length": 65_536}, **columns)
    sample = values(device.sample(b"x" * 20_000))
    assert sample == {"code": (None, "text of 20000 characters; at most 16384 are sent")}
    assert device.bad_values == 1


def test_text_that_is_too_long_for_a_pattern_is_counted():
    device = described(framing={"type": "line", "max_length": 65_536}, profile="barcode_scanner")
    assert values(device.sample(b"x" * 20_000)) == {}
    assert device.malformed == 1


def test_nuls_that_fill_up_a_text_are_no_part_of_it():
    assert read(
        b"AB \0\0\x07",
        [{"name": "a", "key": 1, "kind": "text"}, {"name": "b", "key": 2}],
        type="struct",
        format="5sB",
    ) == {"a": "AB ", "b": 7}


def test_binary_floats_have_the_digits_that_they_resolve():
    fields = [{"name": name, "key": at} for at, name in enumerate("abcd", 1)]
    frame = struct.pack("<2B2xff3sd", 1, 2, 36.97, 83380528.0, b"AB", 0.1)
    fields[3:] = [{"name": "d", "key": 4}, {"name": "t", "key": 5, "kind": "text"}, {"name": "e", "key": 6}]
    assert read(frame, fields, type="struct", format="<2B2xff3sd") == {
        "a": 1,
        "b": 2,
        "c": 36.97,
        "d": 83380528,
        "t": "AB",
        "e": 0.1,
    }


@pytest.mark.parametrize(
    ("encoding", "data", "text"), [("", b"\xc2\xb5", "µ"), ("latin-1", b"\xc2\xb5", "Âµ"), ("cp437", b"\x9c", "£")]
)
async def test_records_answers_and_patterns_have_one_encoding(encoding, data, text):
    device = described(
        encoding=encoding,
        record={"type": "regex", "pattern": "(?P<x>.*)"},
        fields=[{"name": "x", "kind": "text"}],
        commands={"unit": {"send": "U{value}\\r", "answer": f"^{text}$"}},
    )
    assert values(device.sample(data)) == {"x": text}
    assert device.commands["unit"].accepts(data)
    assert device.commands["unit"].data({"value": text}) == b"U" + data + b"\r"


# One odd field


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"temperature":nan,"humidity":40.5}', "not a number ('nan')"),
        ('{"temperature":-Infinity,"humidity":40.5}', "not a number ('-Infinity')"),
        ('{"temperature":,"humidity":40.5}', "no value"),
        ('{"temperature":0x1F,"humidity":40.5}', "not a number ('0x1F')"),
        ('{"temperature":1e999,"humidity":40.5}', "not a number ('1e999')"),
        ('{"temperature":***,"humidity":40.5, "note":"a:nan,{"}', "not a number ('***')"),
        ('{"humidity":40.5,"temperature":}', "no value"),
    ],
)
def test_one_odd_member_costs_that_field_only(text, reason):
    fields = [{"name": "temperature"}, {"name": "humidity"}]
    assert read(text.encode(), fields, type="json") == {"temperature": (None, reason), "humidity": 40.5}


def test_one_odd_field_of_an_inverter_costs_that_field_only():
    device = described(profile="qpigs_inverter")
    status, mode, rating = device.questions
    line = b"(230.0 50.0 230.1 49.9 0161 0119 003 460 ----- 012 --- -05 0014 103.8 57.45 00000 00110110 "
    line += b"00 00 00856 010\r"
    sample = values(device.sample(line, status.kinds))
    odd = {name: sample.pop(name)[0] for name in ("battery_voltage", "battery_charge")}
    assert odd == {"battery_voltage": None, "battery_charge": None}
    assert (sample["temperature"], sample["panel_voltage"], sample["output_power"]) == (-5, 103.8, 119)
    assert [question.accepts(line) for question in (status, mode, rating)] == [True, False, False]


# Units


def test_a_scale_that_is_switched_to_pounds():
    device = described(profile="streaming_scale")
    assert values(device.sample(b"S S     100.00 g")) == {"weight": 100, "stable": True}
    assert values(device.sample(b"S S    1.00000 lb")) == {"weight": 453.59237, "stable": True}
    assert values(device.sample(b"S S    1.00000 tola")) == {
        "weight": (None, "in 'tola', not in g or kg or mg or lb or oz or ct"),
        "stable": True,
    }


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("23.6C", 23.6),
        ("74.48F", pytest.approx(23.6)),
        ("23.6#", (None, "in '#', not in C or F")),
        ("23.6", (None, "without a unit, not in C or F")),
        ("23.6 * C", 23.6),
        ("C", (None, "not a number ('C')")),
    ],
)
def test_a_unit_behind_the_number(raw, value):
    fields = [{"name": "Ta", "unit": "Cel", "units": {"C": 1, "F": [5 / 9, -160 / 9]}}]
    assert read(f"0R2,Ta={raw}".encode(), fields, type="key_value") == {"Ta": value}


# Start, questions


async def test_a_stream_that_is_started_by_a_command_is_started_again_after_silence(tmp_path):
    device = DEVICES["streaming_scale"](clock=lambda: 0.0)
    device.set("load", 250.5)
    settings = settings_of(SerialInstrument, profile="streaming_scale", serial={"port": port_of(tmp_path / "tty")})
    async with playing(device, tmp_path / "tty"), bridging(SerialInstrument, settings) as bridged:
        assert (await bridged.sample())["weight"].value == 250.5
        device.streams = False  # its supply was interrupted; the adapter has its own
        await bridged.sample(lambda found: device.streams)
        device.set("unit", 2)
        found = await bridged.sample(lambda found: found["weight"].value != 250.5)
        assert found["weight"].value == pytest.approx(250.5, abs=0.01)
        assert (await bridged.bridge.execute(Command(name="tare"))).ok


async def test_a_start_without_its_answer_fails_and_is_tried_again(tmp_path):
    device = DEVICES["streaming_scale"](clock=lambda: 0.0)
    settings = settings_of(
        SerialInstrument,
        profile="streaming_scale",
        serial={"port": port_of(tmp_path / "tty")},
        start=[{"send": "SIR\\r\\n", "answer": "^S [SD]", "timeout": 0.1}],
    )
    async with playing(device, tmp_path / "tty") as played:
        played.execute("silent on")
        async with bridging(SerialInstrument, settings) as bridged:
            lost = await bridged.sample()
            assert "no answer" in lost["weight"].reason
            played.execute("silent off")
            await bridged.sample(lambda found: found["weight"].quality is Quality.GOOD)


async def test_several_questions_have_intervals_of_their_own(tmp_path):
    device = DEVICES["qpigs_inverter"](clock=lambda: 0.0)
    settings = settings_of(
        SerialInstrument,
        profile="qpigs_inverter",
        serial={"port": port_of(tmp_path / "tty")},
        polls={"status": {"interval": 1}, "mode": {"interval": 10}, "rating": {"interval": 100}},
    )
    seen = {"output_power": 0, "mode": 0, "rated_power": 0}
    async with playing(device, tmp_path / "tty"), bridging(SerialInstrument, settings) as bridged:
        begin = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < begin + 50:
            found = await bridged.sample()
            assert len(set(seen) & set(found)) == 1
            seen[next(iter(set(seen) & set(found)))] += 1
        result = await bridged.bridge.execute(Command(name="priority", parameters={"value": 2}))
        assert (result.ok, device.priority) == (True, 2)
        device.set("mains", 0)
        assert (await bridged.sample(lambda found: "mode" in found and found["mode"].value != "line"))[
            "mode"
        ].value == "battery"
    assert 45 <= seen["output_power"] <= 52
    assert 4 <= seen["mode"] <= 6
    assert seen["rated_power"] == 1


def test_an_answer_to_another_question_is_not_accepted():
    device = described(profile="qpigs_inverter")
    status, mode, _ = device.questions
    assert not status.accepts(b"(L\r")
    assert mode.accepts(b"(L\r")
    assert mode.accepts(b"(NAK\r")


def test_a_crc_is_never_sent_with_the_bytes_that_delimit():
    # QPIGS is answered by everybody; the CRC of its question is in the protocol's description: B7 A9.
    assert described(profile="qpigs_inverter").questions[0].data({}) == b"QPIGS\xb7\xa9\r"
    # CRC-16/XMODEM of "POP02" is E2 0A, sent as E2 0B.
    assert described(profile="qpigs_inverter").commands["priority"].data({"value": 2}) == b"POP02\xe2\x0b\r"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"framing": {"type": "delimiter", "delimiter": "\\x0"}}, "framing.delimiter"),
        ({"framing": {"type": "delimiter", "delimiter": "€"}}, "framing.delimiter"),
        ({"framing": {"type": "marks", "start": "<", "end": "\\x"}}, "framing.end"),
        ({"framing": {"type": "fixed", "length": 2000}}, "framing.length"),
        ({"framing": {"type": "delimiter", "delimiter": "\\n", "after": 1, "leave_out": "("}}, "framing.leave_out"),
        ({"framing": {"type": "line", "checksum": {"algorithm": "SUM-16", "position": -1}}}, "checksum.position"),
        ({"start": [{"send": "{value}"}]}, "start.0.send"),
        ({"polls": {"a": {"send": "A", "record": "b"}}}, "polls.a.record"),
        ({"records": {"a": {**KINDS["air"], "match": "("}}}, "records.a.match"),
        ({"record": {"type": "search"}, "fields": [{"name": "x", "key": "x"}]}, "fields.key"),
        (
            {"records": {**KINDS, "f": {**KINDS["air"], "fields": [{"name": "temp", "unit": "K"}]}}},
            "fields.name",
        ),
    ],
)
def test_wrong_settings_name_the_field(members, field):
    with pytest.raises(SettingsError) as caught:
        described(**members)
    assert field in caught.value.field


def test_declared_commands_say_what_they_take():
    settings = settings_of(SerialInstrument, profile="mhz19", serial={"port": "x"})
    (value,) = next(c for c in SerialInstrument.commands_of(settings) if c.name == "calibrate_span").parameters
    assert (value.name, value.kind, value.range) == ("value", "integer", (1000, 5000))
