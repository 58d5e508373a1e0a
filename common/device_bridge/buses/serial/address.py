"""Which tty a setting means now: a path, or a USB device by its identity, whatever number the kernel gave it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...errors import DeviceError, DeviceErrorKind, SettingsError

if TYPE_CHECKING:
    from serial.tools.list_ports_common import ListPortInfo

_USB = re.compile(r"usb:([0-9a-fA-F]{4}):([0-9a-fA-F]{4})(?::(.+))?")
_NUMBERED = re.compile(r"/dev/tty(?:USB|ACM)\d+")
_REMEDY = (
    "Write usb:VENDOR:PRODUCT or usb:VENDOR:PRODUCT:SERIAL, as usb:0403:6001:A50285BI; `lsusb` shows the numbers."
)


class UsbIdentity(NamedTuple):
    """What a USB device says it is; `serial` is "" where it has none."""

    vendor: int
    product: int
    serial: str

    def __str__(self) -> str:
        return f"usb:{self.vendor:04x}:{self.product:04x}" + (f":{self.serial}" if self.serial else "")


_first_seen: dict[str, UsbIdentity] = {}
"""What was behind a numbered path when this process first opened it."""


def find_tty(port: str, list_ports: Callable[[], Iterable[ListPortInfo]] | None = None) -> str:
    """The path to open now.

    A path with a number of the kernel's, as /dev/ttyUSB0, means the device first found there: when that comes back
    under another number it is found, and another device under its number is not taken for it.

    Parameters:
        port: a path, or `usb:VENDOR:PRODUCT[:SERIAL]` in hexadecimal.
        list_ports: gives the serial ports of this machine; by default those of sysfs.

    Raises SettingsError for an address that cannot be one, DeviceError when no or more than one device fits.
    """
    if port.startswith("usb:"):
        match = _USB.fullmatch(port)
        if match is None:
            raise SettingsError("serial.port", port, "is no USB address", _REMEDY)
        wanted = UsbIdentity(int(match[1], 16), int(match[2], 16), match[3] or "")
        return _path_of(port, wanted, _usb_ports(list_ports))
    if not _NUMBERED.fullmatch(port):
        return port
    present = _usb_ports(list_ports)
    known = _first_seen.get(port)
    if known is None:
        if port in present:
            _first_seen[port] = present[port]
        return port
    if present.get(port) == known:
        return port
    return _path_of(port, known, present)


def _path_of(port: str, wanted: UsbIdentity, present: dict[str, UsbIdentity]) -> str:
    fitting = [
        path
        for path, found in present.items()
        if found[:2] == wanted[:2] and (not wanted.serial or found.serial == wanted.serial)
    ]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        there = ", ".join(f"{found} at {path}" for path, found in present.items()) or "none"
        what = "it" if port.startswith("usb:") else str(wanted)
        detail = f"{what} is not plugged in; USB serial devices here: {there}"
        raise DeviceError(DeviceErrorKind.NOT_FOUND, port, detail)
    detail = (
        f"{len(fitting)} devices fit ({', '.join(fitting)}); name one by serial number or by /dev/serial/by-path/"
    )
    raise DeviceError(DeviceErrorKind.NOT_FOUND, port, detail)


def _usb_ports(list_ports: Callable[[], Iterable[ListPortInfo]] | None) -> dict[str, UsbIdentity]:
    from serial.tools import list_ports as of_sysfs  # noqa: PLC0415 - most ports are named by a link

    return {
        info.device: UsbIdentity(info.vid, info.pid, info.serial_number or "")
        for info in sorted((list_ports or of_sysfs.comports)(), key=lambda info: info.device)
        if info.vid is not None and info.pid is not None and Path(info.device).exists()
    }
