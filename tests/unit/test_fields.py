"""Values out of raw ones: whatever a device or a broker says, it is a reading."""

import math

from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Quality, is_finite
from device_bridge.protocols.fields import FieldSettings, RecordField

RAW = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**300, 10**500),
    st.floats(),
    st.text(max_size=10),
    st.sampled_from(["1e999", "9" * 5000, "-", "1_0", "1,5"]),
)
FIELDS = st.sampled_from(
    [
        {},
        {"scale": 1e300, "offset": -1e300},
        {"offset": 0.5, "missing": ("x", -1.0)},
        {"values": {"1": "one"}},
        {"kind": "text"},
        {"kind": "boolean"},
        {"decimal": ","},
    ]
)


@given(FIELDS, RAW)
def test_anything_is_a_reading_that_can_be_calculated_with(members, raw):
    kinds = [RecordField(name="x", **members)]
    if not {"kind", "decimal"} & set(members):
        kinds.append(FieldSettings(name="x", **members))
    for field in kinds:
        reading = field.reading(raw)
        assert (reading.value is None) == (reading.quality is Quality.BAD)
        assert bool(reading.reason) == (reading.quality is Quality.BAD)
        if isinstance(reading.value, int | float):
            assert math.isfinite(float(reading.value))


def test_what_becomes_too_large_by_its_scale_is_bad():
    reading = RecordField(name="x", scale=1e300).reading(1e10)
    assert (reading.value, reading.reason) == (None, "too large (10000000000.0)")
    assert RecordField(name="x").reading(10**400).reason == "a number that is too large"
    assert RecordField(name="x").reading(2**64).value == 2**64


def test_numbers_are_finite_or_not():
    assert [is_finite(each) for each in (1, 2**64, 1.5, True)] == [True] * 4
    assert [is_finite(each) for each in (10**400, -(10**400), math.inf, math.nan)] == [False] * 4
