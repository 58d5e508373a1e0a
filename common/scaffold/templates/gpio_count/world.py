"""my_device under every fault of a GPIO line."""

from my_device.emulator import LINE
from my_device.protocol import PER_PULSE
from my_device.service import MyDevice

from .gpio_worlds import counted

WORLDS = {"my_device:": counted(MyDevice, LINE, PER_PULSE, input={"line": LINE, "active_low": True}, heartbeat=1)}
