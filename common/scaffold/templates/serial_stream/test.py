"""my_device: bytes to readings, and the service on its emulated device."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from my_device.emulator import Device
from my_device.protocol import Decoder, encode
from my_device.service import MyDevice

from device_bridge import Quality

from .serving import bridging, playing, port_of, settings_of


@given(st.integers(0, 9999), st.binary(max_size=20))
def test_a_level_survives_its_line_and_what_is_no_line_is_counted(millimetres, noise):
    decoder = Decoder()
    ((reading,),) = decoder.feed(encode(millimetres / 1000))
    assert (reading.value, reading.quality) == (millimetres / 1000, Quality.GOOD)
    assert decoder.feed(b"level=" + noise.hex().encode() + b"x\n") == []
    assert decoder.malformed == 1


@pytest.mark.clock("movable", "real")
async def test_readings_come_and_an_unplugged_device_is_told(tmp_path):
    device = Device()
    device.set("level", 2.5)
    settings = settings_of(MyDevice, serial={"port": port_of(tmp_path / "tty")})
    async with playing(device, tmp_path / "tty") as played, bridging(MyDevice, settings) as bridged:
        assert (await bridged.sample())["level"].value == 2.5
        played.execute("unplug")
        await bridged.sample(lambda found: found["level"].quality is Quality.BAD)
        played.execute("replug")
        await bridged.sample(lambda found: found["level"].quality is Quality.GOOD)
