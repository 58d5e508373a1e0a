"""What goes wrong on an I2C bus, from the kernel's fault codes (Documentation/i2c/fault-codes.rst) to words."""

from __future__ import annotations

import errno
from typing import Annotated

from msgspec import Meta

from ...errors import DeviceErrorKind
from ...settings.base import Settings

_NO_ANSWER = "nothing answers; its power, its wires and its address pins, or a scan, tell why"
FAULTS: dict[int, tuple[DeviceErrorKind, str]] = {
    errno.ENXIO: (DeviceErrorKind.NO_ACKNOWLEDGE, _NO_ANSWER),
    errno.EREMOTEIO: (DeviceErrorKind.NO_ACKNOWLEDGE, _NO_ANSWER),
    errno.EAGAIN: (DeviceErrorKind.BUS_FAULT, "arbitration was lost: another master, or noise on SDA"),
    errno.EIO: (DeviceErrorKind.BUS_FAULT, "bus error, or no acknowledge where the adapter cannot tell: check wires"),
    errno.ETIMEDOUT: (DeviceErrorKind.TIMEOUT, "SCL or SDA is held low, by a device that is stuck or too slow"),
    errno.EBUSY: (DeviceErrorKind.TIMEOUT, "the bus does not become free: a device may hold SDA low"),
    errno.EPROTO: (DeviceErrorKind.GARBLED, "the device broke the protocol"),
    errno.EBADMSG: (DeviceErrorKind.GARBLED, "wrong packet error code"),
    errno.EOPNOTSUPP: (DeviceErrorKind.BUS_FAULT, "this adapter cannot do such a transfer (only SMBus ones)"),
    errno.ENODEV: (DeviceErrorKind.GONE, "the bus is gone"),
    errno.ESHUTDOWN: (DeviceErrorKind.GONE, "the bus is gone"),
}
OPEN_FAULTS: dict[int, tuple[DeviceErrorKind, str]] = {
    errno.ENOENT: (
        DeviceErrorKind.NOT_FOUND,
        "there is no such bus; enable it (dtparam=i2c_arm=on), load i2c-dev, or give the container the device",
    ),
    errno.ENOTTY: (DeviceErrorKind.NOT_FOUND, "this is not an I2C bus; /dev/i2c-1 is one on most boards"),
    errno.EISDIR: (DeviceErrorKind.NOT_FOUND, "this is a directory; /dev/i2c-1 is a bus on most boards"),
    errno.ECONNREFUSED: (DeviceErrorKind.NOT_FOUND, "no emulated bus listens there; start the emulator"),
}


class I2cRetries(Settings, frozen=True, kw_only=True):
    """How often a transfer is tried again, by what went wrong."""

    no_acknowledge: Annotated[int, Meta(ge=0, le=10, description="nothing answered, or not yet")] = 1
    bus_fault: Annotated[int, Meta(ge=0, le=10, description="arbitration lost or bus error")] = 2
    timeout: Annotated[int, Meta(ge=0, le=10, description="a line was held low")] = 0

    def of(self, kind: DeviceErrorKind) -> int:
        """Attempts after the first one."""
        return {
            DeviceErrorKind.NO_ACKNOWLEDGE: self.no_acknowledge,
            DeviceErrorKind.BUS_FAULT: self.bus_fault,
            DeviceErrorKind.TIMEOUT: self.timeout,
        }.get(kind, 0)
