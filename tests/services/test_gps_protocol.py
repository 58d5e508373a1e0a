"""NMEA 0183: framing in any stream, values by hand, arbitrary input."""

import contextlib
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from device_bridge import Quality
from gps_receiver.emulator import encode
from gps_receiver.protocol import KNOT, MAX_SENTENCE, QUANTITIES, Decoder, MalformedSentence, Sentence, SentenceReader
from simulated_devices import baud_mismatch

GGA = b"$GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,*76\r\n"
RMC = b"$GPRMC,092750.000,A,5321.6802,N,00630.3372,W,0.02,31.66,280511,,,A*43\r\n"
GSA = b"$GPGSA,A,3,10,07,05,02,29,04,08,13,,,,,1.72,1.03,1.38*0A\r\n"
GSV = (
    b"$GPGSV,3,1,11,10,63,137,17,07,61,098,15,05,59,290,20,08,54,157,30*70\r\n"
    b"$GPGSV,3,2,11,02,39,223,19,13,28,070,17,26,23,252,,04,14,186,14*79\r\n"
    b"$GPGSV,3,3,11,29,09,301,24,16,09,020,,36,,,*76\r\n"
)
VTG = b"$GPVTG,054.7,T,034.4,M,005.5,N,010.2,K*48\r\n"


def read(data, **options):
    return SentenceReader(**options).feed(data)


def decoded(data, decoder=None):
    decoder = decoder or Decoder()
    return [(r.name, r.value, r.quality.value) for s in read(data) for r in decoder.decode(s)]


def values(data):
    return {name: value for name, value, quality in decoded(data) if quality == "good"}


def test_gga():
    assert values(GGA) == {
        "lat": pytest.approx(53.36133667, abs=1e-8),
        "lon": pytest.approx(-6.50562, abs=1e-8),
        "altitude": 61.7,
        "geoid_separation": 55.2,
        "fix_quality": 1,
        "satellites_used": 8,
        "hdop": 1.03,
    }


def test_rmc():
    found = values(RMC)
    assert found["speed"] == pytest.approx(0.02 * KNOT)
    assert found["course"] == 31.66
    assert found["lat"] == pytest.approx(53.36133667, abs=1e-8)


def test_vtg_and_its_magnetic_course():
    assert values(VTG) == {"course": 54.7, "course_magnetic": 34.4, "speed": pytest.approx(5.5 * 1852 / 3600)}
    assert values(encode("GPVTG,,T,,M,,N,36.0,K"))["speed"] == pytest.approx(10.0)


def test_gsa_and_gsv():
    assert values(GSA) == {"fix_mode": 3, "pdop": 1.72, "hdop": 1.03, "vdop": 1.38}
    assert values(GSV) == {"satellites_in_view": 11}
    assert values(GSV + encode("GLGSV,1,1,04,65,10,10,10"))["satellites_in_view"] == 15


def test_satellites_are_counted_when_a_group_is_complete():
    decoder = Decoder()
    assert [decoded(line, decoder) for line in GSV.splitlines(keepends=True)[:2]] == [[], []]
    assert decoded(encode("GPGSV,1,1,00"), decoder) == [("satellites_in_view", 0, "good")]


def test_satellites_with_several_signals_are_counted_once():
    decoder = Decoder()
    groups = ["GPGSV,1,1,03,02,39,223,19,1", "GPGSV,1,1,02,02,39,223,15,6", "GAGSV,1,1,04,03,10,200,30,7"]
    counts = [decoded(encode(body), decoder)[0][1] for body in [*groups, "GPGSV,1,1,01,02,39,223,19,1"]]
    assert counts == [3, 3, 7, 5]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("GPRMC,1,A,0000.000,S,00000.000,W,0,0,010101,,,A", (0, 0)),
        ("GPRMC,1,A,3354.500,S,15112.750,E,0,0,010101,,,A", (-33.908333333, 151.2125)),
        ("GPRMC,1,A,1630.0,S,18000.000,W,0,0,010101,,,A", (-16.5, -180)),
        ("GPRMC,1,A,9000.0000,N,17959.99999999,E,0,0,010101,,,A", (90, 179.999999999833)),
    ],
)
def test_all_hemispheres(body, expected):
    found = values(encode(body))
    assert (found["lat"], found["lon"]) == pytest.approx(expected, abs=1e-9)
    assert "-0.0" not in (str(found["lat"]), str(found["lon"]))


def test_eight_decimals_keep_their_precision():
    data = encode("GNGGA,132820.60,4134.49821229,N,09345.03351845,W,2,09,1.0,278.020,M,-31.442,M,7.6,0133")
    assert values(data)["lat"] == pytest.approx(41 + 34.49821229 / 60, abs=1e-12)


@pytest.mark.parametrize(
    "body",
    [
        "GPGGA,120000,,,,,0,00,,,M,,M,,",
        "GPGGA,120000,0000.000,N,00000.000,E,0,00,,,M,,M,,",
        "GPRMC,120000,V,,,,,,,010101,,,N",
        "GPRMC,120000,V,0000.000,N,00000.000,E,0.0,0.0,010101,,",
        "GPRMC,120000,A,0000.000,N,00000.000,E,0.0,0.0,010101,,,N",
        "GPGGA,120000,,,,,1,04,1.0,5.0,M,,M,,",
    ],
)
def test_no_fix_is_bad_and_never_zero(body):
    readings = {name: (value, quality) for name, value, quality in decoded(encode(body))}
    assert readings["lat"] == (None, "bad")
    assert readings["lon"] == (None, "bad")
    assert "speed" not in readings


def test_precision_and_altitude_without_a_fix_are_placeholders():
    assert decoded(encode("GPGSA,A,1,,,,,,,,,,,,,99.99,99.99,99.99")) == [("fix_mode", 1, "good")]
    body = "GPGGA,120000,5300.0,N,00630.0,E,0,03,99.99,-17.0,M,47.0,M,,"
    assert {name for name, value, _ in decoded(encode(body)) if value is not None} == {
        "fix_quality",
        "satellites_used",
    }


def test_empty_fields_are_not_zero():
    assert decoded(encode("GPVTG,,T,,M,,N,,K,A") + encode("GPGSA,A,,,,,,,,,,,,,,,,") + encode("GPGSV,,,")) == []
    assert values(encode("GPRMC,1,A,5300.0,N,00630.0,E,,,010101,,,A")) == {"lat": 53, "lon": 6.5}


@pytest.mark.parametrize(
    ("mode", "quality"), [("E", "uncertain"), ("M", "uncertain"), ("S", "uncertain"), ("D", "good")]
)
def test_what_is_not_measured_is_uncertain(mode, quality):
    body = f"GPRMC,120000,A,5300.000,N,00630.000,E,1.0,90.0,010101,,,{mode}"
    assert {q for _, _, q in decoded(encode(body))} == {quality}


@pytest.mark.parametrize(
    ("indicator", "quality"), [(6, "uncertain"), (7, "uncertain"), (8, "uncertain"), (9, "good")]
)
def test_quality_indicators_of_gga(indicator, quality):
    body = f"GPGGA,120000,5300.000,N,00630.000,E,{indicator},08,1.0,10.0,M,40.0,M,,"
    readings = {name: q for name, _, q in decoded(encode(body))}
    assert {readings[name] for name in ("lat", "lon", "altitude")} == {quality}


def test_a_magnetic_variation_is_not_taken_for_a_mode():
    body = "GPRMC,113258,A,3238.9148,N,10822.4466,W,005.3,247.1,181022,009.3,E"
    assert {q for _, _, q in decoded(encode(body))} == {"good"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("GPGGA,1,9100.0,N,00000.0,E,1,4,1,1,M,1,M,,", "latitude"),
        ("GPGGA,1,5360.0,N,00000.0,E,1,4,1,1,M,1,M,,", "latitude"),
        ("GPGGA,1,5300.0,X,00000.0,E,1,4,1,1,M,1,M,,", "hemisphere of latitude"),
        ("GPGGA,1,5300.0,N,18100.0,E,1,4,1,1,M,1,M,,", "longitude"),
        ("GPGGA,1,5300.0,N,00000.0,E,10,4,1,1,M,1,M,,", "fix quality"),
        ("GPGGA,1,5300.0,,00000.0,E,1,4,1,1,M,1,M,,", "hemisphere of latitude"),
        ("GPGGA,1,5300.0,N,00000.0,N,1,4,1,1,M,1,M,,", "hemisphere of longitude"),
        ("GPGGA,1, 5300.0,N,00000.0,E,1,4,1,1,M,1,M,,", "latitude"),
        ("GPGGA,1,5300.0,N,00000.0,E,1,4,1,1,F,1,M,,", "unit of altitude"),
        ("GPVTG,054.7,034.4,005.5,010.2", "unit"),
        ("GPGGA,1,5300.0,N,00000.0,E,1,4,1,nan,M,1,M,,", "altitude"),
        ("GPGGA,1,5300.0,N,00000.0,E,1,4,1,1_0,M,1,M,,", "altitude"),
        ("GPGGA,1,5300.0,N,00000.0,E,1,4,1,1e5,M,1,M,,", "altitude"),
        ("GPRMC,1,A,5300.0,N,00000.0,E,-1,0,010101,,,A", "speed"),
        ("GPRMC,1,A,5300.0,N,00000.0,E,1,361,010101,,,A", "course"),
        ("GPRMC,1,Q,5300.0,N,00000.0,E,1,1,010101,,,A", "status"),
        ("GPGSV,1,1,-4", "satellites in view"),
    ],
)
def test_a_field_that_cannot_be_is_named(body, field):
    (sentence,) = read(encode(body))
    with pytest.raises(MalformedSentence) as caught:
        Decoder().decode(sentence)
    assert (caught.value.field, caught.value.sentence) == (field, sentence.type)
    assert repr(caught.value.value) in str(caught.value)


def test_other_sentences_are_read_and_say_nothing():
    assert read(encode("PGRME,7.6,M"))[0] == Sentence("P", "GRME", ("7.6", "M"))
    assert decoded(encode("PGRME,7.6,M") + encode("GPXTE,A,A,4.07,L,N")) == []


def test_a_sentence_without_checksum_only_where_allowed():
    bare = b"$GPVTG,1,T,,M,1,N,,K\r\n"
    assert read(bare) == []
    assert len(read(bare, require_checksum=False)) == 1
    assert read(bare.replace(b"\r\n", b"*00\r\n"), require_checksum=False) == []


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_line_ends(end):
    assert len(read(GGA.strip() + end + RMC.strip() + end)) == 2


def test_every_one_byte_change_is_noticed():
    body = GGA[1:-5]
    for at in range(len(body)):
        for flip in range(1, 256):
            damaged = GGA[: at + 1] + bytes((body[at] ^ flip,)) + GGA[at + 2 :]
            assert read(damaged) == [], damaged


def test_garbage_costs_at_most_the_sentence_it_falls_into():
    stream = b"\x00\xff$GP" + GGA + b"\xb5\x62\x01$$$!" + RMC + GGA[:30] + GSA + b"x" * 5000 + VTG
    assert [s.type for s in read(stream)] == ["GGA", "RMC", "GSA", "VTG"]


def test_another_baud_rate_in_between_costs_only_itself():
    noise = baud_mismatch(GGA * 20, 4800, 9600) + baud_mismatch(GGA * 20, 115_200, 9600)
    assert [s.type for s in read(GGA + noise + b"\n" + RMC)] == ["GGA", "RMC"]


def test_the_same_baud_rate_is_no_noise():
    assert baud_mismatch(GGA, 9600, 9600) == GGA


def test_an_endless_sentence_takes_no_memory():
    reader, chunk = SentenceReader(), b"$" + b"A" * 5000
    tracemalloc.start()
    for _ in range(1000):
        reader.feed(chunk)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 5000
    assert len(reader.feed(b"\r\n" + GGA)) == 1


def test_a_sentence_may_be_longer_than_the_standard_says_but_not_endless():
    longest = encode("GPTXT," + "x" * (MAX_SENTENCE - 10))
    assert len(longest.strip()) == MAX_SENTENCE
    assert [len(read(longest)), len(read(encode("GPTXT," + "x" * (MAX_SENTENCE - 9))))] == [1, 0]


def test_what_was_no_sentence_is_counted():
    reader = SentenceReader()
    reader.feed(b"noise\r\n" + GGA + GGA[:20] + RMC + RMC.replace(b"31.66", b"31.67") + b"$hello*00\r\n$GP")
    assert (reader.sentences, reader.checksum_errors, reader.garbled) == (2, 2, 5 + 20)
    reader.feed(b"\xff" + encode("gp,1"))
    assert (reader.sentences, reader.checksum_errors, reader.garbled) == (2, 2, 5 + 20 + 4 + 8)


pieces = st.lists(
    st.one_of(
        st.sampled_from([GGA, RMC, GSA, GSV, VTG, GGA[:20], b"\r\n", b"$", b"!", b"*", b"\r"]),
        st.binary(max_size=150),
    ),
    max_size=12,
)


@given(pieces, st.lists(st.integers(1, 50), max_size=60))
@example([b"$" + b"A" * 200 + GGA, b"$" + b"B" * 119 + b"\r"], [])
def test_how_the_stream_is_cut_makes_no_difference(parts, sizes):
    stream = b"".join(parts)
    whole = SentenceReader()
    expected = whole.feed(stream)
    reader, found, rest = SentenceReader(), [], stream
    for size in sizes:
        found += reader.feed(rest[:size])
        rest = rest[size:]
    for byte in rest:
        found += reader.feed(bytes((byte,)))
    assert found == expected
    counters = [(r.sentences, r.checksum_errors, r.garbled) for r in (reader, whole)]
    assert counters[0] == counters[1]


@given(st.one_of(st.binary(max_size=200), st.text(max_size=80).map(lambda t: b"$GP" + t.encode() + b"\r\n")))
def test_arbitrary_bytes_never_raise(data):
    read(data)
    read(data, require_checksum=False)


fields = st.lists(
    st.one_of(
        st.just(""), st.text("0123456789.-+NSEWAVTMK", max_size=10), st.sampled_from(["nan", "inf", "1_0", "٣"])
    ),
    max_size=20,
)


@given(st.sampled_from(["GGA", "RMC", "VTG", "GSA", "GSV"]), fields)
def test_arbitrary_fields_give_readings_in_range_or_the_named_error(kind, texts):
    ranges, bounded = {q.name: q.valid for q in QUANTITIES}, ("lat", "lon", "course", "fix_quality")
    with contextlib.suppress(MalformedSentence):
        for reading in Decoder().decode(Sentence("GP", kind, tuple(texts))):
            assert (reading.value is None) == (reading.quality is Quality.BAD)
            if reading.name in bounded and reading.value is not None:
                assert ranges[reading.name][0] <= reading.value <= ranges[reading.name][1]
