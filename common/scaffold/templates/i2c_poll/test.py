"""my_device: bytes to values; what every polled sensor has to do is tested by tests/conformance."""

from hypothesis import given
from hypothesis import strategies as st
from my_device import chip


@given(st.floats(*chip.MEASURED.valid))
def test_a_value_survives_its_bytes(value):
    assert abs(chip.decode(chip.encode(value)) - value) <= chip.STEP
