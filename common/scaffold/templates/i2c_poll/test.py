"""my_device: bytes to values, and the service on its emulated chip."""

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


async def test_it_is_read_and_a_chip_that_does_not_answer_is_told(i2c_bus, running_service, received, clock):
    device = i2c_bus.plug_in(Chip(), chip.ADDRESS)
    device.set("temperature", -12.5)
    await running_service.start(MyDevice, i2c_bus)
    await received.wait_for(quantity="temperature", value=-12.5)
    i2c_bus.no_acknowledge()
    await received.wait_for(quantity="temperature", quality="bad")
    i2c_bus.heal()
    await received.wait_for(quantity="temperature", quality="good")
