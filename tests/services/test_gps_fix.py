"""Position, motion and time: what a sentence says of the fix comes first, and sentences of one second agree."""

import itertools

import pytest

from gps_receiver.emulator import GpsEmulator, encode
from gps_receiver.protocol import KNOT, Decoder, SentenceReader

NO_FIX = (None, "bad", "no fix")


def read(*bodies, decoder=None):
    """For each sentence its readings by name: value, quality, reason."""
    decoder = decoder or Decoder()
    sentences = SentenceReader().feed(b"".join(encode(body) for body in bodies))
    assert len(sentences) == len(bodies)
    return [{r.name: (r.value, r.quality.value, r.reason) for r in decoder.decode(each)} for each in sentences]


def qualities(*bodies):
    """The quality of the position in each sentence."""
    return [found["lat"][1] for found in read(*bodies)]


def test_gll():
    (found,) = read("GNGLL,4404.14012,N,12118.85993,W,001037.00,A,A")
    assert found == {
        "lat": (pytest.approx(44.069002), "good", ""),
        "lon": (pytest.approx(-121.3143322), "good", ""),
    }


def test_gll_before_version_2_3_has_no_mode():
    assert qualities("LCGLL,4728.31,N,12254.25,W,091342,A", "LCGLL,4728.31,N,12254.25,W,091342,V") == ["good", "bad"]


def test_gns_of_a_network_receiver():
    (found,) = read("GPGNS,224749.00,3333.4268304,N,11153.3538273,W,D,19,0.6,406.110,-26.294,6.0,0138,S")
    assert found == {
        "lat": (pytest.approx(33.55711384), "good", ""),
        "lon": (pytest.approx(-111.8892304545), "good", ""),
        "altitude": (406.11, "good", ""),
        "geoid_separation": (-26.294, "good", ""),
        "hdop": (0.6, "good", ""),
        "satellites_used": (19, "good", ""),
    }


@pytest.mark.parametrize(
    ("modes", "quality"),
    [
        *[("A", "good"), ("AN", "good"), ("NNA", "good"), ("DDNN", "good"), ("RRNN", "good"), ("FF", "good")],
        *[("NNNN", "bad"), ("N", "bad"), ("", "bad"), ("EN", "uncertain"), ("MM", "uncertain"), ("AS", "uncertain")],
        *[("XN", "uncertain"), ("AX", "uncertain")],
    ],
)
def test_modes_of_gns_are_of_the_systems_that_take_part(modes, quality):
    assert qualities(f"GNGNS,120000,5300.0,N,00630.0,E,{modes},07,1.1,190.7,8.3,,") == [quality]


def test_gst():
    (found,) = read("GPGST,182141.000,15.5,15.3,7.2,21.8,0.9,0.5,0.8")
    assert {name: value for name, (value, *_) in found.items()} == {
        "range_error": 15.5,
        "ellipse_major": 15.3,
        "ellipse_minor": 7.2,
        "ellipse_orientation": 21.8,
        "lat_error": 0.9,
        "lon_error": 0.5,
        "altitude_error": 0.8,
    }
    (found,) = read("GNGST,181141.00,46,,,,4.7,1.9,5.3")
    assert set(found) == {"range_error", "lat_error", "lon_error", "altitude_error"}


@pytest.mark.parametrize("latitude", ["8960.0000", "36000.0000", "", "0000.0000", "nonsense"])
@pytest.mark.parametrize("longitude", ["18960.0000", "72000.0000", "", "00000.0000"])
def test_no_fix_is_reported_whatever_the_coordinates_are(latitude, longitude):
    position = f"{latitude},N,{longitude},E"
    decoder = Decoder()
    gga, rmc, gll, gns = read(
        f"GPGGA,120000,{position},0,00,50.0,x,M,y,M,,",
        f"GPRMC,120000,V,{position},-1,999,010126,,,N",
        f"GPGLL,{position},120000,V,N",
        f"GNGNS,120000,{position},NN,00,x,y,z,,",
        decoder=decoder,
    )
    assert (gga["lat"], gga["lon"], gga["fix_quality"]) == (NO_FIX, NO_FIX, (0, "good", ""))
    for found in (rmc, gll, gns):
        assert (found["lat"], found["lon"]) == (NO_FIX, NO_FIX)
    for found in (gga, rmc, gll, gns):
        assert set(found) <= {"lat", "lon", "fix_quality", "satellites_used", "receiver_time"}
    assert decoder.malformed == 0, "what is not worth reading is not judged"


def test_a_position_that_cannot_be_is_bad_at_once():
    for body in ("GPGGA,120000,8960.0000,N,00630.0,E,1,08,1.0,1.0,M,,M,,", "GPGLL,5300.0,N,36000.0,E,120000,A,A"):
        (found,) = read(body)
        assert found["lat"][:2] == found["lon"][:2] == (None, "bad")
        assert "cannot be" in found["lat"][2]


def test_an_unknown_mode_letter_drops_no_valid_position():
    decoder = Decoder()
    rmc, gll = read(
        "GNRMC,120000,A,5300.0,N,00630.0,E,1.0,90.0,010126,,,X",
        "GNGLL,5300.0,N,00630.0,E,120000,A,Z",
        decoder=decoder,
    )
    assert rmc["lat"] == gll["lat"] == (53, "good", "")
    assert rmc["course"] == (90, "good", "")
    assert decoder.malformed == 2


def test_an_unknown_indicator_of_gga_is_no_reason_to_trust_or_drop_the_position():
    (found,) = read("GNGGA,120000,5300.0,N,00630.0,E,11,08,1.0,1.0,M,,M,,")
    assert found["lat"][:2] == (53, "uncertain")
    assert found["fix_quality"][:2] == (None, "bad")


@pytest.mark.parametrize("status", ["", "N", "Q"])
def test_only_the_status_a_is_valid(status):
    assert qualities(f"GPRMC,120000,{status},5300.0,N,00630.0,E,1,1,010126,,,A") == ["bad"]


@pytest.mark.parametrize(("mode", "indicator"), [("E", 6), ("M", 7), ("S", 8)])
@pytest.mark.parametrize("status", ["A", "V"])
def test_all_sentences_of_a_second_agree_on_a_fix_that_is_not_measured(mode, indicator, status):
    bodies = (
        f"GPGGA,120000,5300.0,N,00630.0,E,{indicator},08,1.0,1.0,M,,M,,",
        f"GPRMC,120000,{status},5300.0,N,00630.0,E,1.0,90.0,010126,,,{mode}",
        f"GPGLL,5300.0,N,00630.0,E,120000,{status},{mode}",
        f"GNGNS,120000,5300.0,N,00630.0,E,{mode}N,08,1.0,1.0,,,",
    )
    for order in itertools.permutations(bodies):
        found = read(*order)
        assert {each["lat"][1:] for each in found} == {found[0]["lat"][1:]}
        assert found[0]["lat"][1] == "uncertain"


@pytest.mark.parametrize("indicator", [6, 7, 8])
@pytest.mark.parametrize("status", ["A", "V"])
def test_a_sentence_without_a_mode_says_what_gga_says_of_the_same_fix(indicator, status):
    found = []
    decoder = Decoder()
    for second in range(3):
        found += read(
            f"GPGGA,12000{second},5300.0,N,00630.0,E,{indicator},08,1.0,1.0,M,,M,,",
            f"GPRMC,12000{second},{status},5300.0,N,00630.0,E,1.0,90.0,010126,,",
            f"GPGLL,5300.0,N,00630.0,E,12000{second},{status}",
            decoder=decoder,
        )
    assert {each["lat"][1] for each in found} == {"uncertain"}


def test_a_sentence_without_a_mode_is_taken_by_its_status_beside_a_measured_fix():
    gga = "GPGGA,120000,5300.0,N,00630.0,E,1,08,1.0,1.0,M,,M,,"
    rmc = "GPRMC,120000,{},5300.0,N,00630.0,E,1.0,90.0,010126,,"
    assert qualities(gga, rmc.format("A")) == ["good", "good"]
    assert qualities(gga, rmc.format("V")) == ["good", "bad"]
    assert qualities(gga.replace("E,1,", "E,0,"), rmc.format("A")) == ["bad", "bad"], "of one second"
    assert qualities(gga.replace("E,1,", "E,0,"), rmc.format("A").replace("120000", "120001")) == ["bad", "good"]


def seconds_of(*bodies, count=4):
    """These sentences each second, and what is said of the latitude from the second one on."""
    decoder, found = Decoder(), []
    for second in range(count):
        found.append(read(*(body.format(f"12000{second}") for body in bodies), decoder=decoder))
    return [each["lat"][1] for readings in found[1:] for each in readings if "lat" in each]


@pytest.mark.parametrize("mode", ["", ",N"])
def test_a_status_without_a_fix_beside_one_makes_it_uncertain_in_every_sentence(mode):
    bodies = (
        "GPGGA,{},5300.0,N,00630.0,E,1,08,1.0,1.0,M,,M,,",
        "GNGNS,{},5300.0,N,00630.0,E,AN,08,1.0,1.0,,,",
        "GPRMC,{},V,5300.0,N,00630.0,E,1.0,90.0,010126,," + mode,
        "GPGLL,5300.0,N,00630.0,E,{},V" + mode,
    )
    for order in itertools.permutations(bodies):
        assert set(seconds_of(*order)) == {"uncertain"}


def test_a_gga_without_a_fix_leaves_no_position_to_any_sentence():
    gga = "GPGGA,{},8960.0000,N,00000.0,E,0,00,50.0,0.0,M,0.0,M,,"
    for others in itertools.permutations(
        ["GPRMC,{},A,5300.0,N,00630.0,E,1.0,90.0,010126,,,A", "GPGLL,5300.0,N,00630.0,E,{},A,A"]
    ):
        for at in range(3):
            assert set(seconds_of(*others[:at], gga, *others[at:])) == {"bad"}


def test_when_they_agree_again_the_fix_is_good():
    gga, rmc = "GPGGA,{},5300.0,N,00630.0,E,1,08,1.0,1.0,M,,M,,", "GPRMC,{},{},5300.0,N,00630.0,E,1.0,90.0,010126,,"
    decoder, found = Decoder(), []
    for second, status in enumerate("AVVAA"):
        found.append(read(*(each.format(f"12000{second}", status) for each in (gga, rmc)), decoder=decoder))
    assert [[each["lat"][1] for each in readings if "lat" in each] for readings in found] == [
        *(["good", "good"], ["good", "bad"], ["uncertain"], ["uncertain", "good"], ["good", "good"]),
    ]


def test_what_gga_said_long_ago_says_nothing_of_another_fix():
    gga = "GPGGA,235955,5300.0,N,00630.0,E,6,08,1.0,1.0,M,,M,,"
    assert qualities(gga, "GPRMC,000001,A,5300.0,N,00630.0,E,,,010126,,") == ["uncertain", "uncertain"]
    assert qualities(gga, "GPRMC,000011,A,5300.0,N,00630.0,E,,,010126,,") == ["uncertain", "good"]


def test_a_fix_that_is_measured_again_is_good_at_once():
    dead_reckoning = (
        "GPGGA,120000,5300.0,N,00630.0,E,6,08,1.0,1.0,M,,M,,",
        "GPRMC,120000,V,5300.0,N,00630.0,E,1.0,90.0,010126,,,E",
    )
    measured = (
        "GPGGA,120001,5300.0,N,00630.0,E,1,08,1.0,1.0,M,,M,,",
        "GPRMC,120001,A,5300.0,N,00630.0,E,1.0,90.0,010126,,,A",
    )
    assert qualities(*dead_reckoning, *measured) == ["uncertain", "uncertain", "good", "good"]


def test_motion_and_precision_are_no_better_than_the_fix():
    vtg, gst = "GPVTG,0.0,T,10.5,M,0.0,N,0.0,K", "GPGST,120000,1,1,1,1,1,1,1"
    *_, moved, precise = read("GPGGA,120000,5300.0,N,00630.0,E,8,08,1.0,1.0,M,,M,,", vtg, gst)
    assert {reading[1:] for reading in (*moved.values(), *precise.values())} == {("uncertain", "simulated")}
    assert read("GPRMC,120000,V,,,,,,,010126,,", vtg, gst, vtg + ",A")[1:] == [{}, {}, {}]
    assert read("GPRMC,120000,A,5300.0,N,00630.0,E,,,010126,,", vtg)[1]["speed"] == (0, "good", "")
    assert read(vtg + ",E")[0]["speed"][1] == read(vtg + ",X")[0]["speed"][1] == "uncertain"
    assert read(vtg + ",N") == [{}]


def test_a_fix_mode_is_not_good_while_another_sentence_says_there_is_no_fix():
    *_, found = read("GPRMC,120000,V,,,,,,,010126,,,N", "GPGSA,A,3,09,05,14,26,,,,,,,,,2.9,2.2,1.9")
    assert found == {"fix_mode": (3, "uncertain", "no fix, says another sentence")}


def test_what_the_receiver_calls_unsafe_is_uncertain_in_every_sentence_until_it_says_otherwise():
    rmc = "GNRMC,12000{},A,5300.0,N,00630.0,E,1.0,90.0,010126,,,A,{}"
    gga = "GNGGA,120000,5300.0,N,00630.0,E,1,08,1.0,1.0,M,,M,,"
    assert qualities(rmc.format(0, "U"), gga, rmc.format(1, "S"), gga) == ["uncertain", "uncertain", "good", "good"]
    assert qualities(rmc.format(0, "V"), gga) == ["good", "good"], "V is what equipment says that does not tell"


@pytest.mark.parametrize(
    ("longitude", "expected"),
    [
        *[("17959.9999,E", 179.99999833), ("18000.0000,E", 180), ("18000.0000,W", -180), ("18000,W", -180)],
        *[("17959.9999,W", -179.99999833), ("00000.0001,W", -1.67e-6)],
    ],
)
def test_the_antimeridian(longitude, expected):
    for body in (f"GPGLL,1630.0,S,{longitude},120000,A,A", f"GPGGA,120000,1630.0,S,{longitude},1,08,1.0,1.0,M,,M,,"):
        (found,) = read(body)
        assert found["lon"] == (pytest.approx(expected, abs=1e-8), "good", "")
        assert found["lat"][0] == -16.5


@pytest.mark.parametrize("longitude", ["18000.0001,E", "18000.0001,W", "17960.0000,E", "18100.0,W", "1800.0,N"])
def test_beyond_the_antimeridian_there_is_nothing(longitude):
    (found,) = read(f"GPGLL,1630.0,S,{longitude},120000,A,A")
    assert found["lon"][:2] == found["lat"][:2] == (None, "bad")


@pytest.mark.parametrize("profile", ["gps", "gnss", "vessel"])
@pytest.mark.parametrize(
    ("indicator", "quality"), [(0, "bad"), (1, "good"), (4, "good"), (6, "uncertain"), (8, "uncertain")]
)
def test_an_emulated_receiver_says_one_thing_of_its_fix(profile, indicator, quality):
    emulator = GpsEmulator(profile=profile)
    emulator.set("fix_quality", indicator)
    decoder = Decoder()
    sentences = SentenceReader().feed(b"".join(b"".join(emulator.epoch(n, 1.7e9 + n)) for n in range(3)))
    found = [r for each in sentences for r in decoder.decode(each)]
    assert {r.quality.value for r in found if r.name in ("lat", "lon", "altitude", "speed", "course")} == {quality}
    assert decoder.malformed == decoder.ignored == 0


def test_speed_and_course_of_rmc_in_their_units():
    (found,) = read("GPRMC,120000,A,5300.0,N,00630.0,E,10.0,90.0,010126,,,A")
    assert found["speed"] == (pytest.approx(10 * KNOT), "good", "")
