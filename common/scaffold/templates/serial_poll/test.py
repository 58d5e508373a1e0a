"""my_device: bytes to readings, and the service on its emulated device."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from my_device.emulator import Device
from my_device.protocol import decode, encode, is_level
from my_device.service import MyDevice


@given(st.integers(0, 9999), st.binary(max_size=20))
def test_a_level_survives_its_line_and_anything_else_is_no_answer(millimetres, noise):
    assert decode(encode(millimetres / 1000).strip())[0].value == millimetres / 1000
    assert not is_level(b"level=" + noise + b"x")


@pytest.mark.clock("movable", "real")
async def test_it_is_read_and_reported_when_it_is_silent(serial_device, running_service, received):
    serial_device.plug_in(Device()).set("level", 2.5)
    await running_service.start(MyDevice, serial_device, interval=0.05)
    await received.wait_for(quantity="level", value=2.5)
    serial_device.stall()
    await received.wait_for(quantity="level", quality="bad")
    serial_device.heal()
    await received.wait_for(quantity="level", quality="good")
