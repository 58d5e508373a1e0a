"""my_device under every fault of a serial line."""

from my_device.emulator import Device
from my_device.service import MyDevice

from .serial_worlds import steady

# Write checked=True once a checksum protects what it sends: its bytes are then damaged too.
WORLDS = {"my_device:": steady(MyDevice, Device, checked=False, asked=True)}
