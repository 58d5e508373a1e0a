"""my_device: bytes to values, commands; what every polled sensor has to do is tested by tests/conformance."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from my_device import chip
from my_device.emulator import Chip
from my_device.service import MyDevice


@given(st.floats(*chip.MEASURED.valid))
def test_a_value_survives_its_bytes(value):
    assert abs(chip.decode(chip.encode(value)) - value) <= chip.STEP


@pytest.mark.clock("movable", "real")
async def test_the_heater_is_switched_and_read_back(i2c_bus, running_service, received):
    i2c_bus.plug_in(Chip(), chip.ADDRESS)
    await running_service.start(MyDevice, i2c_bus, interval=0.05)
    await received.wait_for(quantity="heater", value=False)
    assert (await running_service.command("heater", value=True))["ok"]
    await received.wait_for(quantity="heater", value=True)
