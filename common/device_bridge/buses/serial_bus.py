"""A serial port: opened by pyserial, read by the event loop from its descriptor."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import termios
from pathlib import Path
from typing import Annotated, Literal

import serial
from msgspec import Meta

from ..errors import DeviceError, DeviceErrorKind, SettingsError
from ..settings_model import Settings

_READ_SIZE = 64 * 1024


class SerialSettings(Settings, frozen=True, kw_only=True):
    """How to reach a serial device."""

    port: Annotated[
        str,
        Meta(description="device path; a by-id link survives replugging", examples=["/dev/ttyUSB0"], min_length=1),
    ]
    baud: Annotated[int, Meta(ge=50, le=4_000_000, description="bits per second")] = 9600
    data_bits: Annotated[Literal[5, 6, 7, 8], Meta(description="bits per character")] = 8
    parity: Annotated[Literal["none", "even", "odd", "mark", "space"], Meta(description="parity bit")] = "none"
    stop_bits: Annotated[Literal[1, 2], Meta(description="stop bits")] = 1


class SerialBus:
    """One open serial port.

    Parameters:
        settings: which port, and how it is set.

    `open` raises DeviceError (not found, permission, busy), or SettingsError when the path can never be a serial
    port. `read` raises DeviceError (gone) when the device is unplugged.
    """

    def __init__(self, settings: SerialSettings) -> None:
        self._settings = settings
        self._port: serial.Serial | None = None
        self._fd = -1

    async def open(self) -> None:
        """Opens and locks the port, with nothing old in its input buffer."""
        settings = self._settings
        path = Path(settings.port)
        try:
            mode = path.stat().st_mode
        except OSError:
            mode = stat.S_IFCHR  # let the opening below say what is wrong
        if not stat.S_ISCHR(mode):
            what = "is a directory" if stat.S_ISDIR(mode) else "is not a character device"
            raise SettingsError("serial.port", settings.port, what, "Write the device's own path, as /dev/ttyUSB0.")
        try:
            self._port = serial.Serial(
                settings.port,
                settings.baud,
                settings.data_bits,
                settings.parity[0].upper(),
                settings.stop_bits,
                timeout=0,
                exclusive=True,
            )
        except serial.SerialException as error:
            raise _device_error(settings.port, error) from None
        except (ValueError, OSError) as error:
            raise DeviceError(
                DeviceErrorKind.BUS_FAULT, settings.port, f"the driver refused a setting: {error}"
            ) from None
        self._fd = self._port.fileno()
        os.set_blocking(self._fd, False)
        _tell_silence_from_end(self._fd)

    async def read(self) -> bytes:
        """Whatever has come, at least one byte. Cancelling it loses nothing."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = os.read(self._fd, _READ_SIZE)
            except BlockingIOError:
                await _readable(loop, self._fd)
                continue
            except OSError as error:
                raise DeviceError(
                    DeviceErrorKind.GONE, self._settings.port, f"unplugged ({error.strerror})"
                ) from None
            if not data:
                raise DeviceError(DeviceErrorKind.GONE, self._settings.port, "unplugged (end of file)")
            return data

    async def close(self) -> None:
        """Closes the port; harmless when it is not open."""
        if self._port is not None:
            port, self._port, self._fd = self._port, None, -1
            port.close()


def _tell_silence_from_end(fd: int) -> None:
    """pyserial sets VMIN to 0, and then "nothing yet" reads like an unplugged device."""
    attributes = termios.tcgetattr(fd)
    attributes[6][termios.VMIN] = 1
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


async def _readable(loop: asyncio.AbstractEventLoop, fd: int) -> None:
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _device_error(port: str, error: serial.SerialException) -> DeviceError:
    code = error.errno
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return DeviceError(DeviceErrorKind.NOT_FOUND, port, "no such device; is it plugged in?")
    if code in (errno.EACCES, errno.EPERM):
        return DeviceError(DeviceErrorKind.PERMISSION, port, _permission_hint(port, code))
    if code in (errno.EBUSY, errno.EAGAIN):
        return DeviceError(DeviceErrorKind.BUSY, port, "another process has it open; only one can read a port")
    detail = os.strerror(code) if code else str(error)
    return DeviceError(DeviceErrorKind.BUS_FAULT, port, detail)


def _permission_hint(port: str, code: int) -> str:
    if code == errno.EPERM:
        return "the container has no rule for this device; pass it in as a device, not as a volume"
    try:
        gid = Path(port).stat().st_gid
    except OSError:
        return "access denied"
    return f"access denied; give the service group {gid}, which owns the device"
