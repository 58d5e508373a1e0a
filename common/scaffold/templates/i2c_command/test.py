"""my_device: bytes to values, commands; what every polled sensor has to do is tested by tests/conformance."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Command
from my_device import chip
from my_device.emulator import Chip
from my_device.service import MyDevice
from simulated_devices import SimulatedI2cBus

from .serving import bridging, reachable, settings_of


@given(st.integers(-50 * 128, 150 * 128))
def test_a_temperature_survives_its_bytes(steps):
    assert chip.decode(chip.encode(steps / 128)) == steps / 128


def test_the_bytes_of_the_data_sheet():
    assert [chip.decode(bytes(pair)) for pair in ((0x0C, 0x80), (0xFF, 0x80))] == [25.0, -1.0]


@pytest.mark.clock("movable", "real")
async def test_the_heater_is_switched_and_read_back(tmp_path):
    bus = SimulatedI2cBus(tmp_path / "bus")
    bus.add("chip", chip.ADDRESS, Chip())
    settings = settings_of(MyDevice, bus={"path": f"sim:{bus.path}"}, interval=0.05)
    async with reachable(bus), bridging(MyDevice, settings) as bridged:
        assert (await bridged.sample())["heater"].value is False
        assert (await bridged.bridge.execute(Command(name="heater", parameters={"value": True}))).ok
        await bridged.sample(lambda found: found["heater"].value is True)
