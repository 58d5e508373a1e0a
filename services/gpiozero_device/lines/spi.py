"""SPI for gpiozero's devices: by lines in software, or by the kernel's spidev.

The kernel's interface is that of Documentation/spi/spidev.rst and include/uapi/linux/spi/spidev.h.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from gpiozero.mixins import SharedMixin
from gpiozero.pins import SPI, Factory
from gpiozero.pins.spi import SPISoftware

from device_bridge import DeviceError, DeviceErrorKind

_TRANSFER = struct.Struct("=QQIIHBBBBBB")
_MESSAGE_1 = 0x4020_6B00
_SPEED_HZ = 500_000
_BITS = 8
_ERRORS = {
    errno.ENOENT: (DeviceErrorKind.NOT_FOUND, "there is no such device; enable SPI, and give it to the container"),
    errno.ENOTTY: (DeviceErrorKind.NOT_FOUND, "this is no SPI device"),
    errno.ENODEV: (DeviceErrorKind.GONE, "the SPI controller is gone"),
    errno.ESHUTDOWN: (DeviceErrorKind.GONE, "the SPI controller is gone"),
}


class SoftwareSpi(SharedMixin, SPISoftware):  # type: ignore[misc]  # gpiozero is untyped
    """SPI by lines; channels of one chip share it."""

    @classmethod
    def _shared_key(
        cls, clock_pin: str, mosi_pin: str, miso_pin: str, select_pin: str, *, pin_factory: Factory
    ) -> Any:
        return id(pin_factory), clock_pin, select_pin


class KernelSpi(SharedMixin, SPI):  # type: ignore[misc]  # gpiozero is untyped
    """SPI by the kernel, in mode 0 at 500 kHz, which all MCP3xxx can do at 2.7 V. Raises DeviceError.

    Parameters:
        path: `/dev/spidev0.0`.
        pin_factory: of the device.
    """

    def __init__(self, path: str, *, pin_factory: Factory) -> None:
        self._fd = -1
        self._path = path
        self._turn = threading.Lock()
        super().__init__(pin_factory=pin_factory)
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise DeviceError.from_os(error, path, _ERRORS) from None

    @classmethod
    def _shared_key(cls, path: str, *, pin_factory: Factory) -> Any:
        return id(pin_factory), path

    def transfer(self, data: Sequence[int]) -> list[int]:
        """Sends bytes, and returns as many. Raises DeviceError."""
        sent, got = array.array("B", data), array.array("B", bytes(len(data)))
        addresses = sent.buffer_info()[0], got.buffer_info()[0]
        message = _TRANSFER.pack(*addresses, len(data), _SPEED_HZ, 0, _BITS, 0, 0, 0, 0, 0)
        with self._turn:
            try:
                fcntl.ioctl(self._fd, _MESSAGE_1, message)
            except OSError as error:
                raise DeviceError.from_os(error, self._path, _ERRORS) from None
        return list(got)

    def close(self) -> None:
        """Closes it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        super().close()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._fd < 0


def spi_of(factory: Factory, arguments: Mapping[str, Any]) -> SPI:
    """SPI as a device of gpiozero asks for it."""
    wanted = {name: value for name, value in arguments.items() if name != "shared"}
    return (KernelSpi if "path" in wanted else SoftwareSpi)(**wanted, pin_factory=factory)
