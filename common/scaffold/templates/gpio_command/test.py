"""my_device: it does what it is told, and is safe when nobody tells."""

import pytest
from my_device.emulator import LINE
from my_device.service import MyDevice

from device_bridge import Command
from simulated_devices import SimulatedGpio

from ..movable_clock import now_ns
from .serving import bridging, settings_of


@pytest.mark.clock("movable")
async def test_it_is_switched_and_read_back_and_is_safe_at_the_end(tmp_path):
    gpio = SimulatedGpio(tmp_path / "gpio", now_ns)
    gpio.add("emulated", [LINE])
    members = {"gpio": {"path": f"sim:{gpio.path}"}, "output": {"line": LINE}, "watchdog": False}
    async with gpio.serving():
        async with bridging(MyDevice, settings_of(MyDevice, **members)) as bridged:
            assert (await bridged.sample())["on"].value is False
            assert (await bridged.bridge.execute(Command(name="set", parameters={"value": True}))).ok
            assert gpio.level(LINE) == 1
            gpio.drive(LINE, 0)  # a short circuit
            assert not (await bridged.bridge.execute(Command(name="set", parameters={"value": True}))).ok
            gpio.drive(LINE, None)
        assert gpio.level(LINE) == 0
