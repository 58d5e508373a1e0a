"""my_device: its state at each change, and after the chip has come back."""

from my_device.emulator import LINE
from my_device.service import MyDevice


async def test_each_change_is_reported_and_a_lost_chip_is_found_again(gpio_chip, running_service, received, clock):
    await running_service.start(MyDevice, gpio_chip, input={"line": LINE, "active_low": True})
    assert (await received.wait_for()).value is False
    for level in (0, 1, 0):
        gpio_chip.drive(LINE, level)
        assert (await received.wait_for()).value is not bool(level)
    gpio_chip.unplug()
    await received.wait_for(quality="bad")
    gpio_chip.replug()
    assert (await received.wait_for()).value is True
