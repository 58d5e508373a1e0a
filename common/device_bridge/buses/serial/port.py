"""Opens a serial port by pyserial and says what is wrong when that fails."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import socket
import stat
import sys
import termios
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import serial
from msgspec import Meta

from ...clocks import monotonic
from ...errors import DeviceError, DeviceErrorKind, SettingsError, permission_hint
from ...settings.base import Seconds, Settings
from ..in_process import attached_at
from .address import find_tty

_URL = re.compile(r"(socket|rfc2217)://(?:\[[0-9a-fA-F:]+\]|[^/:?#@\s]+):\d{1,5}")
_POLL_S = 0.25
_PUMP_SIZE = 4096
_LINGER_S = 1.0
_LINGER_POLL_S = 0.01
_KEEPALIVE_IDLE_S, _KEEPALIVE_INTERVAL_S, _KEEPALIVE_PROBES = 10, 5, 3
_USER_TIMEOUT_MS = 25_000


class Rs485Settings(Settings, frozen=True, kw_only=True):
    """RTS as the direction of a half-duplex line, switched by the kernel's driver (TIOCSRS485)."""

    renamed: ClassVar[Mapping[str, str]] = {
        "delay_before_send_s": "delay_before_send",
        "delay_after_send_s": "delay_after_send",
    }

    rts_on_send: Annotated[Literal["high", "low"], Meta(description="level of RTS while sending")] = "high"
    delay_before_send: Annotated[Seconds, Meta(description="seconds from switching to the first bit")] = 0.0
    delay_after_send: Annotated[Seconds, Meta(description="seconds from the last bit to switching back")] = 0.0


class SerialSettings(Settings, frozen=True, kw_only=True):
    """How to reach a serial device."""

    renamed: ClassVar[Mapping[str, str]] = {"coalesce_s": "coalesce"}

    port: Annotated[
        str,
        Meta(
            description="path, `/dev/serial/by-id/` link, `usb:VENDOR:PRODUCT[:SERIAL]`, `socket://host:port` or "
            "`rfc2217://host:port`",
            examples=["/dev/ttyUSB0"],
            min_length=1,
        ),
    ]
    baud: Annotated[int, Meta(ge=50, le=4_000_000, description="bits per second")] = 9600
    data_bits: Annotated[Literal[5, 6, 7, 8], Meta(description="bits per character")] = 8
    parity: Annotated[Literal["none", "even", "odd", "mark", "space"], Meta(description="parity bit")] = "none"
    stop_bits: Annotated[Literal[1, 2], Meta(description="stop bits")] = 1
    flow_control: Annotated[
        Literal["none", "rts_cts", "xon_xoff"], Meta(description="how the device says that it is busy")
    ] = "none"
    dtr: Annotated[Literal["on", "off"], Meta(description="DTR once open; `off` spares some boards a reset")] = "on"
    rts: Annotated[Literal["on", "off"], Meta(description="RTS once open, without `rts_cts`")] = "on"
    rs485: Annotated[
        Rs485Settings | None, Meta(description="direction by RTS, for drivers that can; none for all others")
    ] = None
    coalesce: Annotated[
        float,
        Meta(ge=0, le=1, description="seconds that bytes are gathered; 0.02 spares a small board most wake-ups"),
    ] = 0.0


class OpenPort:
    """An open port as a descriptor that the event loop can watch.

    Parameters:
        settings: which port, and how it is set.

    Blocks while a serial server is being reached. Raises DeviceError (not found, permission, busy, bus fault), or
    SettingsError when the address can never be a serial port.
    """

    def __init__(self, settings: SerialSettings) -> None:
        self.is_tty = "://" not in settings.port
        self._ends: tuple[socket.socket, ...] = ()
        path = _checked_path(settings.port) if self.is_tty else _checked_url(settings.port)
        try:
            self._port = serial.serial_for_url(
                path,
                settings.baud,
                settings.data_bits,
                settings.parity[0].upper(),
                settings.stop_bits,
                timeout=0,
                rtscts=settings.flow_control == "rts_cts",
                xonxoff=settings.flow_control == "xon_xoff",
                do_not_open=True,
            )
            self._port.dtr, self._port.rts = settings.dtr == "on", settings.rts == "on"
            if self.is_tty:
                self._port.exclusive = True
            self._port.open()
        except serial.SerialException as error:
            raise _device_error(settings.port, error) from None
        except (ValueError, OSError) as error:
            raise _refused(settings.port, error) from None
        try:
            self.fd = self._descriptor(settings)
        except BaseException:
            self.close()
            raise

    def discard_output(self) -> None:
        """Forgets what the kernel has not sent yet."""
        if self.is_tty:
            termios.tcflush(self.fd, termios.TCOFLUSH)

    def close(self) -> None:
        """Closes it. Blocks for as long as the driver or the server takes; what is not sent by then is forgotten."""
        for end in self._ends:
            _hang_up(end)
            end.close()
        if self.is_tty and self._port.is_open:
            _let_output_go(self._port.fileno())
        self._port.close()

    def _descriptor(self, settings: SerialSettings) -> int:
        if self.is_tty:
            fd: int = self._port.fileno()
            _tell_silence_from_end(fd)
            if settings.rs485:
                self._use_rs485(settings.port, settings.rs485)
        else:
            _watch_peer(self._port._socket)  # type: ignore[attr-defined]  # pyserial has no other way to it
            fd = self._port.fileno() if settings.port.startswith("socket:") else self._pump()
        os.set_blocking(fd, False)
        return fd

    def _use_rs485(self, port: str, wanted: Rs485Settings) -> None:
        from serial.rs485 import RS485Settings  # noqa: PLC0415 - most lines are not switched by their driver

        high = wanted.rts_on_send == "high"
        try:
            self._port.rs485_mode = RS485Settings(
                rts_level_for_tx=high,
                rts_level_for_rx=not high,
                delay_before_tx=wanted.delay_before_send,
                delay_before_rx=wanted.delay_after_send,
            )
        except (ValueError, OSError) as error:
            remedy = "Leave serial.rs485 out: most USB adapters switch the direction by themselves."
            raise SettingsError(
                "serial.rs485", None, f"the driver of {port} cannot do it ({error})", remedy
            ) from None

    def _pump(self) -> int:
        """RFC 2217 is spoken by pyserial in threads; a socket pair brings its bytes to the event loop."""
        ours, theirs = socket.socketpair()
        self._ends = (ours, theirs)
        self._port.timeout = _POLL_S
        for work in (self._pump_in, self._pump_out):
            threading.Thread(target=work, args=(theirs,), name="rfc2217", daemon=True).start()
        return ours.fileno()

    def _pump_in(self, end: socket.socket) -> None:
        try:
            while self._port.is_open:
                if data := self._port.read(min(max(self._port.in_waiting, 1), _PUMP_SIZE)):
                    end.sendall(data)
        except (OSError, TypeError):  # SerialException is one; pyserial trips over itself when closed meanwhile
            pass
        _hang_up(end)

    def _pump_out(self, end: socket.socket) -> None:
        try:
            while data := end.recv(_PUMP_SIZE):
                self._port.write(data)
        except (OSError, TypeError):
            pass
        _hang_up(end)


def _watch_peer(connection: socket.socket) -> None:
    """Has the kernel notice a server that has vanished: idle or with data on its way, within half a minute."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)


def _let_output_go(fd: int) -> None:
    """Waits until what was written is sent, for a second: close(2) would wait for the driver's closing_wait, 30 s."""
    end_at = monotonic() + _LINGER_S
    with contextlib.suppress(OSError):  # unplugged
        while int.from_bytes(fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)), sys.byteorder):
            if monotonic() > end_at:
                termios.tcflush(fd, termios.TCOFLUSH)
                return
            time.sleep(_LINGER_POLL_S)


class InProcessPort:
    """The service's end of an emulated line in this process. Raises DeviceError (not found) while there is none."""

    def __init__(self, port: str) -> None:
        line = attached_at(port)
        try:
            self.fd: int = -1 if line is None else line.open_service_end()
        except FileNotFoundError:
            self.fd = -1
        if self.fd < 0:
            detail = "no such line in this process; is it plugged in?"
            raise DeviceError(DeviceErrorKind.NOT_FOUND, port, detail)

    def discard_output(self) -> None:
        """There is no buffer of its own."""

    def close(self) -> None:
        """Closes it."""
        os.close(self.fd)


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed already
        end.shutdown(socket.SHUT_RDWR)


def _checked_path(port: str) -> str:
    path = Path(find_tty(port))
    try:
        mode = path.stat().st_mode
    except OSError:
        mode = stat.S_IFCHR  # let the opening say what is wrong
    if not stat.S_ISCHR(mode):
        what = "is a directory" if stat.S_ISDIR(mode) else "is not a character device"
        raise SettingsError("serial.port", port, what, "Write the device's own path, as /dev/ttyUSB0.")
    return str(path)


def _checked_url(port: str) -> str:
    if not _URL.fullmatch(port):
        remedy = "Write socket://host:port, or rfc2217://host:port for a server that also sets baud and lines."
        raise SettingsError("serial.port", port, "is no address of a serial server", remedy)
    return port


def _tell_silence_from_end(fd: int) -> None:
    """pyserial sets VMIN to 0, and then "nothing yet" reads like an unplugged device."""
    attributes = termios.tcgetattr(fd)
    attributes[6][termios.VMIN] = 1
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def _refused(port: str, error: Exception) -> DeviceError:
    return DeviceError(DeviceErrorKind.BUS_FAULT, port, f"the driver refused a setting: {error}")


def _device_error(port: str, error: serial.SerialException) -> DeviceError:
    if "://" in port:
        detail = f"no serial server answers: {error}; is it running, and the port right?"
        return DeviceError(DeviceErrorKind.NOT_FOUND, port, detail)
    code = error.errno
    if isinstance(error.__context__, termios.error):  # pyserial keeps its text alone
        code = error.__context__.args[0]
    if code == errno.ENOTTY:
        return DeviceError(
            DeviceErrorKind.NOT_FOUND, port, "this is no serial port; /dev/ttyUSB0 is one, for example"
        )
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return DeviceError(DeviceErrorKind.NOT_FOUND, port, "no such device; is it plugged in?")
    if code in (errno.EACCES, errno.EPERM):
        return DeviceError(DeviceErrorKind.PERMISSION, port, permission_hint(port, code))
    if code in (errno.EBUSY, errno.EAGAIN):
        return DeviceError(DeviceErrorKind.BUSY, port, "another process has it open; only one can read a port")
    detail = os.strerror(code) if code else str(error)
    return DeviceError(DeviceErrorKind.BUS_FAULT, port, detail)
