"""my_device for the tests that every polled sensor passes."""

from my_device import chip
from my_device.emulator import Chip
from my_device.service import MyDevice

from .subjects import Measured, Subject

SUBJECT = Subject(
    "my_device",
    MyDevice,
    lambda address: {"address": address},
    lambda _: Chip(),
    chip.ADDRESS,
    {chip.MEASURED.name: Measured(chip.MEASURED.unit, *chip.MEASURED.valid, chip.STEP)},
)
