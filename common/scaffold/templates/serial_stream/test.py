"""my_device: bytes to readings, and the service on its emulated device."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from my_device.emulator import Device
from my_device.protocol import Decoder, encode
from my_device.service import MyDevice

from device_bridge import Quality


@given(st.integers(0, 9999), st.binary(max_size=20))
def test_a_level_survives_its_line_and_what_is_no_line_is_counted(millimetres, noise):
    decoder = Decoder()
    ((reading,),) = decoder.feed(encode(millimetres / 1000))
    assert (reading.value, reading.quality) == (millimetres / 1000, Quality.GOOD)
    assert decoder.feed(b"level=" + noise.hex().encode() + b"x\n") == []
    assert decoder.malformed == 1


@pytest.mark.clock("movable", "real")
async def test_readings_come_and_an_unplugged_device_is_reported(serial_device, running_service, received):
    serial_device.plug_in(Device()).set("level", 2.5)
    await running_service.start(MyDevice, serial_device)
    await received.wait_for(quantity="level", value=2.5)
    serial_device.unplug()
    await received.wait_for(quantity="level", quality="bad")
    serial_device.replug()
    await received.wait_for(quantity="level", value=2.5)
