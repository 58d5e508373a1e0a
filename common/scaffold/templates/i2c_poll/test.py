"""my_device: bytes to values; what every polled sensor has to do is tested by tests/conformance."""

from hypothesis import given
from hypothesis import strategies as st
from my_device import chip


@given(st.integers(-50 * 128, 150 * 128))
def test_a_temperature_survives_its_bytes(steps):
    assert chip.decode(chip.encode(steps / 128)) == steps / 128


def test_the_bytes_of_the_data_sheet():
    assert [chip.decode(bytes(pair)) for pair in ((0x0C, 0x80), (0xFF, 0x80))] == [25.0, -1.0]
