"""The classes of sysfs that measure, by the name that settings have for them."""

from . import hwmon, iio, one_wire, power_supply, thermal
from .model import DeviceClass, Evaluated, Fault, Measure, Recipe, describe, evaluate

CLASSES: dict[str, DeviceClass] = {
    one.name: one for one in (hwmon.HWMON, iio.IIO, one_wire.W1, thermal.THERMAL, power_supply.POWER_SUPPLY)
}

__all__ = ["CLASSES", "DeviceClass", "Evaluated", "Fault", "Measure", "Recipe", "describe", "evaluate"]
