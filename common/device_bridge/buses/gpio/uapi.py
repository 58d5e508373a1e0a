"""Linux's GPIO character device, version 2 of its interface (linux/gpio.h, Linux 5.10 and newer), as bytes.

Structures have the same layout on 32 and 64 bits. Nothing here opens anything.
"""

from __future__ import annotations

import struct
from typing import Literal, NamedTuple

Bias = Literal["as_is", "disabled", "pull_up", "pull_down"]
Drive = Literal["push_pull", "open_drain", "open_source"]

GET_CHIPINFO = 0x8044B401
GET_LINEINFO = 0xC100B405
GET_LINE = 0xC250B407
SET_CONFIG = 0xC110B40D
GET_VALUES = 0xC010B40E
SET_VALUES = 0xC010B40F

_CHIPINFO = struct.Struct("32s32sI")
_LINEINFO = struct.Struct("32s32sIIQ160x16x")
_ATTRIBUTE = struct.Struct("IIQQ")
_CONFIG = struct.Struct("QI20x240s")
_REQUEST = struct.Struct("256s32s272sII20xi")
_VALUES = struct.Struct("QQ")
EVENT = struct.Struct("QIIII24x")
"""Time in nanoseconds, RISING or FALLING, offset, number among the request's events, number among the line's."""
RISING, FALLING = 1, 2
MOST_LINES = 64
MOST_EVENTS = 1024
"""The largest buffer that the kernel gives a request."""

_ACTIVE_LOW, _INPUT, _OUTPUT, _EDGE_RISING, _EDGE_FALLING = (1 << bit for bit in (1, 2, 3, 4, 5))
_USED = 1
_DRIVE = {"push_pull": 0, "open_drain": 1 << 6, "open_source": 1 << 7}
_BIAS = {"as_is": 0, "pull_up": 1 << 8, "pull_down": 1 << 9, "disabled": 1 << 10}
_OUTPUT_VALUES, _DEBOUNCE = 2, 3


class LineConfig(NamedTuple):
    """How lines are used, all lines of a request alike.

    Parameters:
        output: driven, else read.
        active_low: whether low is on; values and edges are then those of on and off.
        bias: the chip's own resistor.
        drive: of outputs.
        rising: whether edges to on are reported.
        falling: whether edges to off are reported.
        debounce_us: how long an input has to be stable, 0 for no matter how long.
        values: of outputs, a bit each, the first line's is the least.
    """

    output: bool = False
    active_low: bool = False
    bias: Bias = "as_is"
    drive: Drive = "push_pull"
    rising: bool = False
    falling: bool = False
    debounce_us: int = 0
    values: int = 0

    @property
    def options(self) -> str:
        """What it asks of a chip beyond a plain input or output, in words."""
        words = [f"bias = {self.bias}"] if self.bias != "as_is" else []
        words += [f"drive = {self.drive}"] if self.output and self.drive != "push_pull" else []
        words += [f"debounce = {self.debounce_us / 1e6:g} s"] if self.debounce_us else []
        return ", ".join([*words, *(["edges"] if self.rising or self.falling else [])])

    def pack(self, lines: int) -> bytes:
        """As `struct gpio_v2_line_config`."""
        flags = _OUTPUT if self.output else _INPUT
        flags |= _ACTIVE_LOW if self.active_low else 0
        flags |= _BIAS[self.bias] | (_DRIVE[self.drive] if self.output else 0)
        flags |= (_EDGE_RISING if self.rising else 0) | (_EDGE_FALLING if self.falling else 0)
        mask = (1 << lines) - 1
        attributes = []
        if self.output:
            attributes.append(_ATTRIBUTE.pack(_OUTPUT_VALUES, 0, self.values & mask, mask))
        if self.debounce_us:
            attributes.append(_ATTRIBUTE.pack(_DEBOUNCE, 0, self.debounce_us, mask))
        return _CONFIG.pack(flags, len(attributes), b"".join(attributes))


class LineInfo(NamedTuple):
    """A line as the kernel describes it.

    Parameters:
        name: given by the board's device tree, "" without one.
        consumer: who uses it, "" if it is free.
        used: whether it is in use, by a process or a driver.
    """

    name: str
    consumer: str
    used: bool


def unpack_chip(data: bytes | bytearray) -> tuple[str, str, int]:
    """Name, label and number of lines, out of `struct gpiochip_info`."""
    name, label, lines = _CHIPINFO.unpack(data)
    return _text(name), _text(label), lines


def pack_line(offset: int) -> bytearray:
    """The question for a line, as `struct gpio_v2_line_info`."""
    return bytearray(_LINEINFO.pack(b"", b"", offset, 0, 0))


def unpack_line(data: bytes | bytearray) -> LineInfo:
    """The answer."""
    name, consumer, _, _, flags = _LINEINFO.unpack(data)
    return LineInfo(_text(name), _text(consumer), bool(flags & _USED))


def pack_request(offsets: tuple[int, ...], consumer: str, config: LineConfig, events: int) -> bytearray:
    """As `struct gpio_v2_line_request`."""
    numbers = struct.pack(f"{len(offsets)}I", *offsets)
    return bytearray(
        _REQUEST.pack(numbers, consumer.encode()[:31], config.pack(len(offsets)), len(offsets), events, -1)
    )


def unpack_request(data: bytes | bytearray) -> int:
    """The file descriptor of the lines."""
    fd: int = _REQUEST.unpack(data)[-1]
    return fd


def pack_values(mask: int, bits: int) -> bytearray:
    """As `struct gpio_v2_line_values`."""
    return bytearray(_VALUES.pack(bits, mask))


def unpack_values(data: bytes | bytearray) -> int:
    """The bits."""
    bits: int = _VALUES.unpack(data)[0]
    return bits


def _text(name: bytes) -> str:
    return name.split(b"\0", 1)[0].decode(errors="replace")
