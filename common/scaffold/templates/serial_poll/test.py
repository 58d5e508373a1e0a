"""my_device: bytes to readings, and the service on its emulated device."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Quality
from my_device.emulator import Device
from my_device.protocol import decode, encode, is_level
from my_device.service import MyDevice

from .serving import bridging, playing, port_of, settings_of


@given(st.integers(0, 9999), st.binary(max_size=20))
def test_a_level_survives_its_line_and_anything_else_is_no_answer(millimetres, noise):
    assert decode(encode(millimetres / 1000).strip())[0].value == millimetres / 1000
    assert not is_level(b"level=" + noise + b"x")


@pytest.mark.clock("movable", "real")
async def test_it_is_read_and_told_when_it_is_silent(tmp_path):
    device = Device()
    device.set("level", 2.5)
    settings = settings_of(MyDevice, serial={"port": port_of(tmp_path / "tty")}, interval=0.05)
    async with playing(device, tmp_path / "tty") as played, bridging(MyDevice, settings) as bridged:
        assert (await bridged.sample())["level"].value == 2.5
        played.execute("silent on")
        await bridged.sample(lambda found: found["level"].quality is Quality.BAD)
        played.execute("silent off")
        await bridged.sample(lambda found: found["level"].quality is Quality.GOOD)
