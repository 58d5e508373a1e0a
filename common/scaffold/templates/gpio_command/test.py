"""my_device: it carries out commands, and is safe when none come."""

from my_device.emulator import LINE
from my_device.service import MyDevice


async def test_it_is_switched_and_read_back_and_is_safe_at_the_end(gpio_chip, running_service, received, clock):
    await running_service.start(MyDevice, gpio_chip, output={"line": LINE}, watchdog=False)
    assert (await received.wait_for()).value is False
    assert (await running_service.command("set", value=True))["ok"]
    assert gpio_chip.level(LINE) == 1
    gpio_chip.drive(LINE, 0)  # a short circuit
    assert not (await running_service.command("set", value=True))["ok"]
    gpio_chip.drive(LINE, None)
    await running_service.stop()
    assert gpio_chip.level(LINE) == 0
