"""my_device: its state at each interval, and after the chip has come back."""

from my_device.emulator import LINE
from my_device.service import MyDevice


async def test_it_is_read_at_its_interval_and_a_lost_chip_is_found_again(gpio_chip, running_service, received, clock):
    await running_service.start(MyDevice, gpio_chip, input={"line": LINE, "active_low": True})
    assert (await received.wait_for()).value is False
    gpio_chip.drive(LINE, 0)
    assert (await received.wait_for()).value is True
    gpio_chip.unplug()
    await received.wait_for(quality="bad")
    gpio_chip.replug()
    assert (await received.wait_for()).value is True
