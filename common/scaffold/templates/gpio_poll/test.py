"""my_device: its state at each interval, and after the chip has come back."""

import pytest
from my_device.emulator import LINE
from my_device.service import MyDevice

from device_bridge import Quality
from simulated_devices import SimulatedGpio

from ..movable_clock import now_ns
from .serving import bridging, settings_of


@pytest.mark.clock("movable")
async def test_it_is_read_at_its_interval_and_a_lost_chip_is_found_again(tmp_path):
    gpio = SimulatedGpio(tmp_path / "gpio", now_ns)
    gpio.add("emulated", [LINE])
    members = {"gpio": {"path": f"sim:{gpio.path}"}, "input": {"line": LINE, "active_low": True}}
    async with gpio.serving(), bridging(MyDevice, settings_of(MyDevice, **members)) as bridged:
        assert (await bridged.sample())["closed"].value is False
        gpio.drive(LINE, 0)
        assert (await bridged.sample())["closed"].value is True
        gpio.disconnect()
        assert (await bridged.sample())["closed"].quality is Quality.BAD
        assert (await bridged.sample())["closed"].value is True
