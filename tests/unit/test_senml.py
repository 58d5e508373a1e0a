"""SenML packs: the RFC's rules, our quality labels, arbitrary input."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Quality, Reading
from device_bridge.messages import senml
from device_bridge.messages.senml import SenmlError

T = 1_795_448_768.25


def test_readings_taken_together_share_name_and_time():
    pack = senml.encode([Reading("lat", 53.5, "lat", T), Reading("lon", 9.9, "lon", T)], "gps:")
    assert json.loads(pack) == [
        {"bn": "gps:", "bt": T, "n": "lat", "u": "lat", "v": 53.5},
        {"n": "lon", "u": "lon", "v": 9.9},
    ]


def test_a_reading_without_value_is_never_a_number():
    (record,) = json.loads(senml.encode([Reading("lat", None, "lat", T, Quality.BAD, "no fix")]))
    assert "v" not in record
    assert (record["vs"], record["quality"], record["reason"]) == ("", "bad", "no fix")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_carry_becomes_bad_not_null(value):
    (reading,) = senml.decode(senml.encode([Reading("t", value, "Cel", T)], "x:"))
    assert (reading.value, reading.quality) == (None, Quality.BAD)


def test_packs_of_other_writers():
    pack = (
        b'[{"bn":"urn:dev:ow:10e2073a01080063:","bt":1.320067464e+09,"bu":"%RH","v":20},'
        b'{"u":"lon","n":"p","v":24.3,"t":60}]'
    )
    first, second = senml.decode(pack)  # after RFC 8428 section 5.1.3
    assert (first.name, first.unit, first.value) == ("urn:dev:ow:10e2073a01080063:", "%RH", 20)
    assert (second.name, second.unit, second.time) == ("urn:dev:ow:10e2073a01080063:p", "lon", 1.320067464e9 + 60)


readings = st.builds(
    Reading,
    name=st.from_regex(r"[a-z][a-z_]{0,20}", fullmatch=True),
    value=st.one_of(
        st.floats(allow_nan=False, allow_infinity=False),
        st.integers(-(2**53), 2**53),
        st.booleans(),
        st.text(min_size=1),
    ),
    unit=st.sampled_from(["Cel", "%RH", "lat", ""]),
    time=st.just(T),
    quality=st.sampled_from(Quality),
    reason=st.just(""),
)


@given(st.lists(readings, min_size=1, max_size=5))
def test_every_sample_survives(sample):
    decoded = senml.decode(senml.encode(sample, "dev:"))
    assert [(r.name, r.value, r.unit, r.quality) for r in decoded] == [
        ("dev:" + r.name, r.value, r.unit, r.quality) for r in sample
    ]


@given(
    st.one_of(
        st.binary(max_size=100),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=5)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=4),
                st.dictionaries(st.sampled_from(["n", "v", "bn", "bt", "vs", "t"]), inner),
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_arbitrary_input_gives_readings_or_the_named_error(pack):
    with suppress(SenmlError):
        senml.decode(pack)


@pytest.mark.parametrize(("unit", "version"), [("ppm", 26), ("kWh", 26), ("Cel", None), ("", None)])
def test_a_pack_with_a_secondary_unit_says_so(unit, version):
    pack = senml.encode([Reading("a", 1.0, "V", 1e9), Reading("b", 2.0, unit, 1e9)])
    assert json.loads(pack)[0].get("bver") == version
    assert senml.decode(pack)[1].unit == unit
