"""my_device under every fault of a GPIO line."""

from my_device.emulator import LINE
from my_device.service import MyDevice

from .gpio_worlds import relay

WORLDS = {"my_device:": relay(MyDevice, LINE, "set", output={"line": LINE}, watchdog=False)}
