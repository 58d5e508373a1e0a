"""my_device under every fault of a GPIO line."""

from my_device.emulator import LINE
from my_device.service import MyDevice

from .gpio_worlds import contact

WORLDS = {"my_device:": contact(MyDevice, LINE, input={"line": LINE})}
