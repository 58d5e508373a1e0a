"""NMEA 0183: values by hand, odd fields, damaged and arbitrary input."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Quality
from gps_receiver.emulator import GpsEmulator, encode
from gps_receiver.protocol import KNOT, QUANTITIES, Decoder, Sentence, SentenceReader

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
    assert found["receiver_time"] == 1_306_574_870


def test_vtg_and_its_magnetic_course():
    assert values(VTG) == {"course": 54.7, "course_magnetic": 34.4, "speed": pytest.approx(5.5 * 1852 / 3600)}
    assert values(encode("GPVTG,,T,,M,,N,36.0,K"))["speed"] == pytest.approx(10.0)


def test_gsa_and_gsv():
    assert values(GSA) == {"fix_mode": 3, "pdop": 1.72, "hdop": 1.03, "vdop": 1.38}
    assert values(GSV) == {"satellites_in_view": 11}


def test_satellites_are_counted_when_a_group_is_complete():
    decoder = Decoder()
    assert [decoded(line, decoder) for line in GSV.splitlines(keepends=True)[:2]] == [[], []]
    assert decoded(encode("GPGSV,1,1,00"), decoder) == [("satellites_in_view", 0, "good")]


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
    assert values(encode("GPRMC,120000,A,5300.0,N,00630.0,E,,,,,,A")) == {"lat": 53, "lon": 6.5}


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
    ("body", "quantities", "reason"),
    [
        ("GPGGA,1,9100.0,N,00000.0,E,1,4,1,1,M,1,M,,", {"lat", "lon"}, "latitude cannot be '9100.0,N'"),
        ("GPGGA,1,5360.0,N,00000.0,E,1,4,1,1,M,1,M,,", {"lat", "lon"}, "latitude cannot be '5360.0,N'"),
        ("GPGGA,1,5300.0,X,00000.0,E,1,4,1,1,M,1,M,,", {"lat", "lon"}, "latitude cannot be '5300.0,X'"),
        ("GPGGA,1,5300.0,N,18100.0,E,1,4,1,1,M,1,M,,", {"lat", "lon"}, "longitude cannot be '18100.0,E'"),
        ("GPGGA,1,5300.0,,00000.0,E,1,4,1,1,M,1,M,,", {"lat", "lon"}, "latitude cannot be '5300.0,'"),
        ("GPGGA,1,5300.0,N,00000.0,N,1,4,1,1,M,1,M,,", {"lat", "lon"}, "longitude cannot be '00000.0,N'"),
        ("GPGGA,1, 5300.0,N,00000.0,E,1,4,1,1,M,1,M,,", {"lat", "lon"}, "latitude cannot be ' 5300.0,N'"),
        ("GPGGA,1,5300.0,N,00000.0,E,1,4,1,1,F,1,M,,", {"altitude"}, "unit of altitude cannot be 'F'"),
        ("GPGGA,1,5300.0,N,00000.0,E,1,4,1,nan,M,1,M,,", {"altitude"}, "altitude cannot be 'nan'"),
        ("GPGGA,1,5300.0,N,00000.0,E,1,4,1,1_0,M,1,M,,", {"altitude"}, "altitude cannot be '1_0'"),
        ("GPGGA,1,5300.0,N,00000.0,E,1,4,1,1e5,M,1,M,,", {"altitude"}, "altitude cannot be '1e5'"),
        ("GPGGA,1,5300.0,N,00000.0,E,10,4,1,1,M,1,M,,", {"fix_quality"}, "fix_quality cannot be '10'"),
        ("GPRMC,1,A,5300.0,N,00000.0,E,-1,0,,,,A", {"speed"}, "speed cannot be '-1'"),
        ("GPRMC,1,A,5300.0,N,00000.0,E,1,361,,,,A", {"course"}, "course cannot be '361'"),
        ("GPVTG,1,T,,M,1,K,,", {"speed"}, "unit of speed cannot be 'K'"),
    ],
)
def test_a_field_that_cannot_be_costs_its_own_quantity_and_is_counted(body, quantities, reason):
    decoder = Decoder()
    (sentence,) = read(encode(body))
    readings = decoder.decode(sentence)
    bad = {r.name: r for r in readings if r.quality is Quality.BAD}
    assert set(bad) == quantities
    assert all(r.value is None and r.reason == f"{sentence.type}: {reason}" for r in bad.values())
    assert len(readings) > len(bad), "the others are read"
    assert decoder.malformed == 1


def test_a_sentence_without_a_field_to_name_is_counted_too():
    decoder = Decoder()
    assert [r for s in read(encode("GPGSV,1,1,-4") + encode("GPMWV,1,X,1,N,A")) for r in decoder.decode(s)] == []
    assert (decoder.malformed, decoder.ignored) == (2, 0)


def test_vtg_as_it_was_before_version_2():
    assert values(encode("GPVTG,054.7,034.4,005.5,010.2")) == {
        "course": 54.7,
        "course_magnetic": 34.4,
        "speed": pytest.approx(5.5 * KNOT),
    }


def test_other_sentences_are_read_and_say_nothing():
    assert read(encode("PGRME,7.6,M"))[0] == Sentence("P", "GRME", ("7.6", "M"))
    decoder = Decoder()
    assert decoded(encode("PGRME,7.6,M") + encode("GPXTE,A,A,4.07,L,N"), decoder) == []
    assert (decoder.ignored, decoder.malformed) == (2, 0)


def test_a_proprietary_sentence_that_ends_like_a_standard_one_is_none():
    assert decoded(encode("PGRMC,A,1,100,0,0,0,0,0,0,0,0,0,A,3")) == []


@pytest.mark.parametrize(
    "talker", ["GP", "GN", "GL", "GA", "GB", "BD", "QZ", "GI", "IN", "II", "EC", "SN", "U1", "LC"]
)
def test_any_talker_will_do(talker):
    assert values(encode(f"{talker}GLL,5300.0,N,00630.0,E,120000,A,A")) == {"lat": 53, "lon": 6.5}


KINDS = (
    *("GGA", "GLL", "GNS", "GSA", "GST", "GSV", "RMC", "VTG", "ZDA"),
    *("DBK", "DBS", "DBT", "DPT", "HDT", "MTW", "MWV", "THS", "VHW"),
)
fields = st.lists(
    st.one_of(
        st.just(""),
        st.text("0123456789.-+NSEWAVTMKRf", max_size=10),
        st.sampled_from(["nan", "inf", "1_0", "٣", "A", "R", "235960", "31", "12", "2016"]),
    ),
    max_size=20,
)
BOUNDED = {"lat", "lon", "course", "heading", "fix_quality", "fix_mode", "apparent_wind_angle", "true_wind_angle"}


@given(st.lists(st.tuples(st.sampled_from(KINDS), fields), min_size=1, max_size=8))
def test_arbitrary_fields_give_readings_in_range_or_bad_ones_with_a_reason(sentences):
    ranges, decoder = {q.name: q.valid for q in QUANTITIES}, Decoder()
    for kind, texts in sentences:
        for reading in decoder.decode(Sentence("GP", kind, tuple(texts))):
            assert (reading.value is None) == (reading.quality is Quality.BAD)
            assert bool(reading.reason) == (reading.quality is not Quality.GOOD)
            if reading.name in BOUNDED and reading.value is not None:
                low, high = ranges[reading.name]
                assert low <= reading.value <= high


EPOCHS = {
    profile: [b"".join(GpsEmulator(speed=20, profile=profile).epoch(n, 1.7e9 + n)) for n in range(3)]
    for profile in ("gps", "gnss", "vessel")
}


def good(stream):
    decoder = Decoder()
    return [(r.name, r.value) for s in read(stream) for r in decoder.decode(s) if r.quality is Quality.GOOD]


@given(st.sampled_from(sorted(EPOCHS)), st.integers(0, 10_000), st.integers(1, 255), st.sampled_from("xdi"))
def test_one_wrong_missing_or_additional_byte_makes_no_wrong_good_reading(profile, at, flip, fault):
    stream = b"".join(EPOCHS[profile])
    at %= len(stream)
    middle = {"x": bytes((stream[at] ^ flip,)), "d": b"", "i": bytes((flip, stream[at]))}[fault]
    damaged = stream[:at] + middle + stream[at + 1 :]
    reader = SentenceReader()
    sentences = reader.feed(damaged)
    decoder, sent = Decoder(), iter(good(stream))
    for found in ((r.name, r.value) for s in sentences for r in decoder.decode(s) if r.quality is Quality.GOOD):
        assert found in sent, "only what was sent, in its order"
    lost = len(read(stream)) - len(sentences)
    assert lost <= 2
    assert not lost or reader.checksum_errors + reader.garbled > 0


@given(st.lists(st.binary(max_size=30), max_size=8), st.randoms(use_true_random=False))
def test_noise_between_sentences_invents_nothing(noise, random):
    parts = EPOCHS["gnss"][0].splitlines(keepends=True)
    for each in noise:
        parts.insert(random.randrange(len(parts)), each)
    sent = iter(good(EPOCHS["gnss"][0]))
    assert all(found in sent for found in good(b"".join(parts)))
