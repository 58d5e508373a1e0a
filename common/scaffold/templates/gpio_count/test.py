"""my_device: every pulse once, over bounces, a lost chip and another life of the device."""

from my_device.emulator import LINE
from my_device.protocol import PER_PULSE
from my_device.service import MyDevice


async def test_each_pulse_counts_once_and_a_lost_chip_is_found_again(gpio_chip, running_service, received, clock):
    gpio_chip.drive(LINE, 1)
    await running_service.start(MyDevice, gpio_chip, input={"line": LINE, "active_low": True})
    await received.wait_for(value=0)
    await gpio_chip.pulses(LINE, rate_hz=5, count=3)
    for level in (0, 1, 0, 1):  # a bounce, shorter than a pulse
        gpio_chip.drive(LINE, level)
    await received.wait_for(value=round(3 * PER_PULSE, 6))
    gpio_chip.unplug()
    await received.wait_for(quality="bad")
    gpio_chip.replug()
    await received.wait_for(value=round(3 * PER_PULSE, 6))
    await gpio_chip.pulses(LINE, rate_hz=5, count=1)
    await received.wait_for(value=round(4 * PER_PULSE, 6))
