"""my_device: bytes to values, commands; what every polled sensor has to do is tested by tests/conformance."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from my_device import chip
from my_device.emulator import Chip
from my_device.service import MyDevice


@given(st.integers(-50 * 128, 150 * 128))
def test_a_temperature_survives_its_bytes(steps):
    assert chip.decode(chip.encode(steps / 128)) == steps / 128


def test_the_bytes_of_the_data_sheet():
    assert [chip.decode(bytes(pair)) for pair in ((0x0C, 0x80), (0xFF, 0x80))] == [25.0, -1.0]


@pytest.mark.clock("movable", "real")
async def test_the_heater_is_switched_and_read_back(i2c_bus, running_service, received):
    i2c_bus.plug_in(Chip(), chip.ADDRESS)
    await running_service.start(MyDevice, i2c_bus, interval=0.05)
    await received.wait_for(quantity="heater", value=False)
    assert (await running_service.command("heater", value=True))["ok"]
    await received.wait_for(quantity="heater", value=True)
