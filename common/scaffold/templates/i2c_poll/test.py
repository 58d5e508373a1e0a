"""my_device: bytes to values, and the service on its emulated chip."""

from hypothesis import given
from hypothesis import strategies as st
from my_device import chip
from my_device.emulator import Chip
from my_device.service import MyDevice


@given(st.floats(*chip.MEASURED.valid))
def test_a_value_survives_its_bytes(value):
    assert abs(chip.decode(chip.encode(value)) - value) <= chip.STEP


async def test_a_chip_that_does_not_answer_is_reported(i2c_bus, running_service, received, clock):
    i2c_bus.plug_in(Chip(), chip.ADDRESS)
    await running_service.start(MyDevice, i2c_bus)
    await received.wait_for(quantity=chip.MEASURED.name, quality="good")
    i2c_bus.no_acknowledge()
    await received.wait_for(quantity=chip.MEASURED.name, quality="bad")
    i2c_bus.heal()
    await received.wait_for(quantity=chip.MEASURED.name, quality="good")
