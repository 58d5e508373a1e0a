"""Errors of gpiozero and the system as errors of a device."""

from __future__ import annotations

import errno

from device_bridge import DeviceError, DeviceErrorKind

_KINDS = {errno.ENOENT: (DeviceErrorKind.NOT_FOUND, "there is no such file")}


def as_device_error(error: Exception, name: str) -> DeviceError:
    """An error that names the device; gpiozero's own are about pins and values."""
    if isinstance(error, DeviceError):
        return error
    if isinstance(error, OSError):
        return DeviceError.from_os(error, name, _KINDS)
    kind = DeviceErrorKind.NOT_FOUND if type(error).__name__ == "PinInvalidPin" else DeviceErrorKind.BUS_FAULT
    return DeviceError(kind, name, str(error) or type(error).__name__)
