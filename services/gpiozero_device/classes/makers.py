"""Devices that are made otherwise than their class alone would be, and why."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from datetime import time as time_of_day_of
from functools import cache
from statistics import median_low
from typing import Any

import gpiozero
from gpiozero.exc import GPIOZeroWarning
from gpiozero.pins import Factory
from gpiozero.tones import Tone

from device_bridge import DeviceError, DeviceErrorKind

from ..lines.pins import PinlessFactory
from .outputs import ENERGENIE_LINES
from .rows import DeviceSettings, Row, pin_name

warnings.filterwarnings("ignore", category=GPIOZeroWarning)  # its advice is for other pin factories

_PING_S = 2.0
_ECHO_REQUEST: dict[int, int] = {socket.AF_INET: 8, socket.AF_INET6: 128}
_PROTOCOLS: dict[int, int] = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}


def options_of(row: Row, settings: DeviceSettings) -> dict[str, Any]:
    """The constructor's parameters, lines as the pin factory knows them; what is left out has gpiozero's default."""
    found = {}
    for option in row.options:
        value = getattr(settings, option.name)
        if option.is_line and value is not None:
            value = tuple(map(pin_name, value)) if isinstance(value, tuple) else pin_name(value)
        found[option.name] = value
    return found


def make(row: Row, settings: DeviceSettings, factory: Factory) -> Any:
    """A device. Raises DeviceError, and what gpiozero raises."""
    options = options_of(row, settings)
    if row.make:
        return MAKERS[row.make](row, options, factory)
    return getattr(gpiozero, row.name)(**options, pin_factory=factory)


class EchoDistanceSensor(gpiozero.DistanceSensor):  # type: ignore[misc]  # gpiozero is untyped
    """A DistanceSensor that notices missing echoes.

    gpiozero's own keeps its last distances, takes an echo from beyond `max_distance` for a wall there, and
    waits without end for its first echo.
    """

    def __init__(self, **options: Any) -> None:
        self._echoes: deque[float | None] = deque(maxlen=options["queue_len"])
        speed_of_sound = options.pop("speed_of_sound")
        super().__init__(partial=True, **options)
        self.speed_of_sound = speed_of_sound

    def close(self) -> None:
        """Ends its thread before it closes what that uses; gpiozero's own does so after."""
        with contextlib.suppress(AttributeError, RuntimeError):
            self._queue.stop()
        super().close()

    def _read(self) -> float | None:
        share: float | None = super()._read()
        found = share is not None and share < 1.0
        self._echoes.append(share * self.max_distance if share is not None and found else None)
        return share if found else None

    @property
    def has_measured(self) -> bool:
        """Whether it has sent as many pings as it takes the median of."""
        return len(self._echoes) == self._echoes.maxlen

    @property
    def echo_distance(self) -> float | None:
        """The median of the last echoes, one of them; None while most pings had none."""
        echoes = self._echoes.copy()
        found = [distance for distance in echoes if distance is not None]
        return median_low(found) if len(found) * 2 > len(echoes) else None

    @property
    def is_in_range(self) -> bool | None:
        """Whether it is nearer than the threshold; None without an echo."""
        distance = self.echo_distance
        return None if distance is None else distance < self.threshold_distance

    @property
    def value(self) -> float:
        """As gpiozero has it: 1 without an echo."""
        distance = self.echo_distance
        return 1.0 if distance is None else distance / self.max_distance


class Hours(gpiozero.TimeOfDay):  # type: ignore[misc]  # gpiozero is untyped
    """A TimeOfDay that does without what newer Pythons warn of."""

    @property
    def value(self) -> int:
        """Whether it is that time."""
        utc = datetime(1970, 1, 1) + timedelta(seconds=time.time())
        now = (utc if self.utc else datetime.now().astimezone()).time()
        if self.start_time < self.end_time:
            return int(self.start_time <= now <= self.end_time)
        return int(not self.end_time < now < self.start_time)


class EchoServer(gpiozero.PingServer):  # type: ignore[misc]  # gpiozero is untyped
    """A PingServer that sends the echo request itself: images have no `ping`.

    The kernel lets groups within net.ipv4.ping_group_range send them, in containers usually all.
    """

    @property
    def value(self) -> int:
        """Whether it answers. Raises DeviceError where that cannot be found out."""
        return int(ping(self.host))


def ping(host: str) -> bool:
    """Whether a host answers an echo request. Raises DeviceError where that cannot be found out."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None)[0]
        with socket.socket(family, socket.SOCK_DGRAM, _PROTOCOLS[family]) as sender:
            sender.setblocking(False)
            return request_echo(sender, _ECHO_REQUEST[family], address)
    except socket.gaierror as error:
        detail = f"its address is not known: {error.strerror}"
        raise DeviceError(DeviceErrorKind.UNREACHABLE, host, detail) from None
    except PermissionError:
        detail = "net.ipv4.ping_group_range of the container does not include this service's group"
        raise DeviceError(DeviceErrorKind.PERMISSION, host, detail) from None
    except OSError as error:
        if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN):
            return False
        raise DeviceError(DeviceErrorKind.UNREACHABLE, host, os.strerror(error.errno or 0)) from None


def request_echo(sender: socket.socket, request: int, address: Any) -> bool:
    """Sends one echo request and waits for its answer; the kernel puts in identifier and checksum, and sorts answers.

    Parameters:
        sender: does not block.
        request: the type of the message, by RFC 792 or RFC 4443.
        address: where to.
    """
    number = time.monotonic_ns() & 0xFFFF
    sender.sendto(struct.pack("!BBHHH", request, 0, 0, 0, number), address)
    until = time.monotonic() + _PING_S
    while (left_s := until - time.monotonic()) > 0:
        if select.select([sender], [], [], left_s)[0]:
            with contextlib.suppress(BlockingIOError):
                answer = sender.recv(1024)
                if answer[:1] in (b"\x00", b"\x81") and answer[6:8] == number.to_bytes(2, "big"):
                    return True
    return False


class Tones(gpiozero.TonalBuzzer):  # type: ignore[misc]  # gpiozero is untyped
    """A TonalBuzzer that a rule can switch on."""

    def play_mid(self) -> None:
        """The note in the middle of its range."""
        self.play(self.mid_tone)


def distance_sensor(_: Row, options: dict[str, Any], factory: Factory) -> Any:
    """A DistanceSensor that says when there is no echo."""
    return EchoDistanceSensor(**options, pin_factory=factory)


def encoder(_: Row, options: dict[str, Any], factory: Factory) -> Any:
    """A RotaryEncoder whose `bounce_time` reaches its pins: gpiozero sets it where no pin looks for it."""
    bounce_time = options.pop("bounce_time")
    device = gpiozero.RotaryEncoder(**options, pin_factory=factory)
    for contact in (device.a, device.b):
        contact.pin.bounce = bounce_time
    return device


def led_board(_: Row, options: dict[str, Any], factory: Factory) -> Any:
    """An LEDBoard: its lines are positional."""
    return gpiozero.LEDBoard(*options.pop("pins"), **options, pin_factory=factory)


def tonal_buzzer(_: Row, options: dict[str, Any], factory: Factory) -> Any:
    """A TonalBuzzer with a note for its middle."""
    return Tones(**options | {"mid_tone": Tone.from_note(options["mid_tone"])}, pin_factory=factory)


def time_of_day(_: Row, options: dict[str, Any], factory: Factory) -> Any:
    """A TimeOfDay whose times come as text."""
    times = {name: time_of_day_of.fromisoformat(options[name]) for name in ("start_time", "end_time")}
    return Hours(**options | times, pin_factory=factory)


def ping_server(_: Row, options: dict[str, Any], factory: Factory) -> Any:
    """A PingServer that needs no program."""
    return EchoServer(**options, pin_factory=factory)


def converter(row: Row, options: dict[str, Any], factory: Factory) -> Any:
    """An MCP3xxx, by lines or by the kernel's SPI."""
    if gpiozero.Device.pin_factory is None:  # its software SPI has a device to which it passes no factory
        gpiozero.Device.pin_factory = PinlessFactory()
    path = options.pop("spi_device")
    pins = {name: options.pop(name) for name in ("clock_pin", "mosi_pin", "miso_pin", "select_pin")}
    device = _checked(row.name)(**options, **({"path": path} if path else pins), pin_factory=factory)
    if not path:
        factory.pin(pins["miso_pin"]).pull = "up"  # where no converter is, all bits are 1
    return device


@cache
def _checked(name: str) -> type[Any]:
    """A class of converters that says when none answers: a 0 comes before each value, or its sign (data sheets)."""
    base: type[Any] = getattr(gpiozero, name)

    def _words_to_int(self: Any, words: Sequence[int], expected_bits: int) -> int:
        found: int = base._words_to_int(self, words)
        if found >> expected_bits & 1:
            detail = "no converter answers; DOUT is high where it has to be low"
            raise DeviceError(DeviceErrorKind.NO_ACKNOWLEDGE, name, detail)
        return found & (1 << expected_bits) - 1

    return type(name, (base,), {"_words_to_int": _words_to_int})


def energenie(_: Row, options: dict[str, Any], factory: Factory) -> Any:
    """An Energenie, on other lines than those of its board if so wanted."""
    lines = zip(ENERGENIE_LINES, options.pop("lines"), strict=True)
    factory.aliases.update((board, wanted) for board, wanted in lines if board != wanted)
    return gpiozero.Energenie(**options, pin_factory=factory)


MAKERS: dict[str, Callable[[Row, dict[str, Any], Factory], Any]] = {
    each.__name__: each
    for each in (distance_sensor, encoder, led_board, tonal_buzzer, time_of_day, ping_server, converter, energenie)
}
"""By the names that rows use."""
