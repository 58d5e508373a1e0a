"""Heading, depth, water and wind: each as what it measures."""

import pytest

from gps_receiver.emulator import GpsEmulator, encode
from gps_receiver.protocol import KNOT, QUANTITIES, Decoder, SentenceReader

INVALID_WIND = (None, "bad")


def read(body, decoder=None):
    """Readings by name: value and quality."""
    (sentence,) = SentenceReader().feed(encode(body))
    return {r.name: (r.value, r.quality.value) for r in (decoder or Decoder()).decode(sentence)}


def values(body):
    found = read(body)
    assert {quality for _, quality in found.values()} <= {"good"}
    return {name: value for name, (value, _) in found.items()}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("GPHDT,274.07,T", {"heading": 274.07}),
        ("HEHDT,0.0,T", {"heading": 0}),
        ("GPHDT,,T", {}),
        ("GNTHS,244.28,A", {"heading": 244.28}),
        (
            "SDVHW,231.3,T,229.9,M,6.6,N,12.3,K",
            {"heading": 231.3, "heading_magnetic": 229.9, "water_speed": pytest.approx(6.6 * KNOT)},
        ),
        ("VWVHW,,T,,M,,N,36.0,K", {"water_speed": pytest.approx(10)}),
        ("VWVHW,,,,,5.0,N,,", {"water_speed": pytest.approx(5 * KNOT)}),
        ("INDPT,2.3,0.0", {"depth_below_transducer": 2.3}),
        ("SDDPT,5.4,0.4,", {"depth_below_transducer": 5.4, "depth_below_surface": 5.8}),
        ("SDDPT,5.4,-1.1,100.0", {"depth_below_transducer": 5.4, "depth_below_keel": 4.3}),
        ("SDDPT,,0.4,", {}),
        ("SDDPT,76.1", {"depth_below_transducer": 76.1}),
        ("SDDBT,7.8,f,2.4,M,1.3,F", {"depth_below_transducer": 2.4}),
        ("SDDBT,,f,22.5,M,,F", {"depth_below_transducer": 22.5}),
        ("SDDBT,10.0,f,,M,,F", {"depth_below_transducer": pytest.approx(3.048)}),
        ("SDDBT,,f,,M,2.0,F", {"depth_below_transducer": pytest.approx(3.6576)}),
        ("SDDBT,,f,,M,,F", {}),
        ("SDDBS,,f,6.1,M,,F", {"depth_below_surface": 6.1}),
        ("SDDBK,,f,4.2,M,,F", {"depth_below_keel": 4.2}),
        ("INMTW,17.9,C", {"water_temperature": 17.9}),
        ("INMTW,-1.2,C", {"water_temperature": -1.2}),
        ("SDMTW,,C", {}),
        (
            "WIMWV,57.5,R,13.0,N,A",
            {"apparent_wind_angle": 57.5, "apparent_wind_speed": pytest.approx(13 * KNOT)},
        ),
        ("WIMWV,96.6,T,11.2,M,A", {"true_wind_angle": 96.6, "true_wind_speed": 11.2}),
        ("WIMWV,96.6,T,36.0,K,A", {"true_wind_angle": 96.6, "true_wind_speed": pytest.approx(10)}),
        ("WIMWV,,R,0.0,N,A", {"apparent_wind_speed": 0}),
    ],
)
def test_each_as_what_it_measures(body, expected):
    assert values(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("GNTHS,244.28,V", {"heading": (None, "bad")}),
        ("GNTHS,,V", {"heading": (None, "bad")}),
        ("GNTHS,nonsense,V", {"heading": (None, "bad")}),
        ("GNTHS,244.28,E", {"heading": (244.28, "uncertain")}),
        ("GNTHS,244.28,S", {"heading": (244.28, "uncertain")}),
        ("GNTHS,244.28,X", {"heading": (244.28, "uncertain")}),
        ("WIMWV,57.5,R,13.0,N,V", {"apparent_wind_angle": INVALID_WIND, "apparent_wind_speed": INVALID_WIND}),
        ("WIMWV,999,T,nonsense,?,V", {"true_wind_angle": INVALID_WIND, "true_wind_speed": INVALID_WIND}),
        ("WIMWV,57.5,R,13.0,N", {"apparent_wind_angle": INVALID_WIND, "apparent_wind_speed": INVALID_WIND}),
    ],
)
def test_what_the_sentence_says_of_its_values_comes_first(body, expected):
    assert read(body) == expected


@pytest.mark.parametrize(
    ("body", "bad", "good"),
    [
        ("HEHDT,361.0,T", {"heading"}, set()),
        ("HEHDT,-1.0,T", {"heading"}, set()),
        ("HEHDT,100.0,M", {"heading"}, set()),
        ("INMTW,64.2,F", {"water_temperature"}, set()),
        ("SDDBT,7.8,f,-2.4,M,1.3,F", {"depth_below_transducer"}, set()),
        ("SDDPT,-5.4,0.4", {"depth_below_transducer"}, set()),
        ("SDDPT,5.4,x", set(), {"depth_below_transducer"}),
        ("WIMWV,57.5,R,13.0,X,A", {"apparent_wind_speed"}, {"apparent_wind_angle"}),
        ("WIMWV,57.5,R,13.0,,A", {"apparent_wind_speed"}, {"apparent_wind_angle"}),
        ("WIMWV,400,R,13.0,N,A", {"apparent_wind_angle"}, {"apparent_wind_speed"}),
        ("VWVHW,361,T,10,M,5.0,N,,", {"heading"}, {"heading_magnetic", "water_speed"}),
        ("WIMWV,57.5,X,13.0,N,A", set(), set()),
    ],
)
def test_one_odd_field_costs_one_quantity_and_is_counted(body, bad, good):
    decoder = Decoder()
    found = read(body, decoder)
    assert {name for name, (value, quality) in found.items() if (value, quality) == (None, "bad")} == bad
    assert {name for name, (_, quality) in found.items() if quality == "good"} == good
    assert decoder.malformed == 1


def test_apparent_and_true_wind_are_never_mixed():
    decoder = Decoder()
    assert set(read("WIMWV,57.5,R,13.0,N,A", decoder)) == {"apparent_wind_angle", "apparent_wind_speed"}
    assert set(read("WIMWV,96.6,T,11.2,N,A", decoder)) == {"true_wind_angle", "true_wind_speed"}


@pytest.mark.parametrize("profile", ["gps", "gnss", "vessel"])
def test_what_an_emulated_vessel_measures_is_read(profile):
    emulator = GpsEmulator(profile=profile)
    for name, value in {"heading": 359.9, "depth_below_transducer": 12.34, "water_temperature": -1.5}.items():
        emulator.set(name, value)
    decoder = Decoder()
    sentences = SentenceReader().feed(b"".join(emulator.epoch(0, 1.7e9)))
    found = {r.name: r for each in sentences for r in decoder.decode(each)}
    declared = {q.name: q for q in QUANTITIES}
    for name, reading in found.items():
        low, high = declared[name].valid
        assert low <= reading.value <= high
        assert reading.unit == declared[name].unit
        if name not in ("receiver_time", "fix_mode", "depth_below_surface"):
            assert reading.value == pytest.approx(emulator.value(name, 0), abs=0.06), name
    assert (decoder.malformed, decoder.ignored) == (0, 0)


def test_every_quantity_is_measured_by_some_emulated_sentence():
    found = {"depth_below_keel"}  # of a transducer at the keel; the emulated one is at the water line
    for profile in ("gps", "gnss", "vessel"):
        decoder = Decoder()
        for sentence in SentenceReader().feed(b"".join(GpsEmulator(profile=profile).epoch(0, 1.7e9))):
            found |= {r.name for r in decoder.decode(sentence)}
    found.add("course_magnetic")
    assert found == {q.name for q in QUANTITIES}
