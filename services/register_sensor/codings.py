"""How chips write values as bytes: each coding as a way there and back. No I/O."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Literal, NamedTuple

from device_bridge.protocols import Raw, short_float32

CodingName = Literal["binary", "sign_magnitude", "parts", "bcd", "float32", "text", "bcd_clock"]


class Layout(NamedTuple):
    """How the bits of a value are arranged.

    Parameters:
        order: of the bytes.
        start, width: lowest bit and number of bits.
        signed: two's complement.
        sign_bit: of sign and magnitude; None for no sign.
        fraction: how many of the last byte make one, of a value in parts.
    """

    order: Literal["big", "little"]
    start: int
    width: int
    signed: bool
    sign_bit: int | None
    fraction: int


class Coding(NamedTuple):
    """The raw value in bytes, the bytes of a raw value, and the least and greatest raw value."""

    decode: Callable[[bytes, Layout], Raw]
    encode: Callable[[float, bytes, Layout], bytes]
    limits: Callable[[Layout], tuple[float, float]]


def _bits(data: bytes, layout: Layout) -> int:
    return int.from_bytes(data, layout.order) >> layout.start & ((1 << layout.width) - 1)


def _with_bits(number: int, data: bytes, layout: Layout) -> bytes:
    mask = ((1 << layout.width) - 1) << layout.start
    whole = int.from_bytes(data, layout.order) & ~mask | number << layout.start & mask
    return whole.to_bytes(len(data), layout.order)


def _decode_binary(data: bytes, layout: Layout) -> Raw:
    number = _bits(data, layout)
    return number - (1 << layout.width) if layout.signed and number >> (layout.width - 1) else number


def _limits_of_binary(layout: Layout) -> tuple[float, float]:
    half = 1 << layout.width - 1
    return (-half, half - 1) if layout.signed else (0, 2 * half - 1)


def _magnitude(data: bytes, layout: Layout) -> tuple[int, int]:
    """Sign, as 1 or -1, and the other bits."""
    number = _bits(data, layout)
    if layout.sign_bit is None:
        return 1, number
    return (-1 if number >> layout.sign_bit & 1 else 1), number & ~(1 << layout.sign_bit)


def _with_sign(magnitude: int, raw: float, layout: Layout) -> int:
    return magnitude | (1 << layout.sign_bit if layout.sign_bit is not None and raw < 0 else 0)


def _decode_sign_magnitude(data: bytes, layout: Layout) -> Raw:
    sign, magnitude = _magnitude(data, layout)
    return sign * magnitude


def _encode_sign_magnitude(raw: float, data: bytes, layout: Layout) -> bytes:
    return _with_bits(_with_sign(abs(int(raw)), raw, layout), data, layout)


def _limits_of_sign_magnitude(layout: Layout) -> tuple[float, float]:
    most = (1 << layout.width - 1) - 1
    return -most, most


def _decode_parts(data: bytes, layout: Layout) -> Raw:
    """In units of the last byte; None where that is no fraction."""
    sign, magnitude = _magnitude(data, layout)
    whole, part = magnitude >> 8, magnitude & 0xFF
    return sign * (whole * layout.fraction + part) if part < layout.fraction else None


def _encode_parts(raw: float, data: bytes, layout: Layout) -> bytes:
    whole, part = divmod(abs(int(raw)), layout.fraction)
    return _with_bits(_with_sign(whole << 8 | part, raw, layout), data, layout)


def _limits_of_parts(layout: Layout) -> tuple[float, float]:
    whole_bits = layout.width - 8 - (layout.sign_bit is not None and layout.sign_bit >= 8)
    most = (1 << whole_bits) * layout.fraction - 1
    return (-most if layout.sign_bit is not None else 0), most


def _decode_bcd(data: bytes, layout: Layout) -> Raw:
    digits = f"{_bits(data, layout):x}"
    return int(digits) if digits.isdecimal() else None


def _encode_bcd(raw: float, data: bytes, layout: Layout) -> bytes:
    return _with_bits(int(str(int(raw)), 16), data, layout)


def _decode_float32(data: bytes, layout: Layout) -> Raw:
    (number,) = struct.unpack(">f" if layout.order == "big" else "<f", data)
    return short_float32(number)


def _encode_float32(raw: float, data: bytes, layout: Layout) -> bytes:
    return struct.pack(">f" if layout.order == "big" else "<f", raw)


def _decode_text(data: bytes, layout: Layout) -> Raw:
    """Up to the first NUL; None for what is no printable ASCII."""
    text = data.partition(b"\0")[0]
    return text.decode("ascii") if all(0x20 <= byte < 0x7F for byte in text) else None


def _decode_clock(data: bytes, layout: Layout) -> Raw:
    """ISO 8601, from the registers of a DS1307, DS3231 or the like; "" for what is no time."""
    from datetime import datetime  # noqa: PLC0415 - few chips are clocks

    second, minute, hour, _, day, month, year = data
    text = f"{year:02x}-{month & 0x1F:02x}-{day:02x} {minute:02x}:{second & 0x7F:02x}"
    if hour & 0x40:  # twelve hours, bit 5 for the afternoon
        text, form = f"{text} {hour & 0x1F:02x} {'PM' if hour & 0x20 else 'AM'}", "%y-%m-%d %M:%S %I %p"
    else:
        text, form = f"{text} {hour & 0x3F:02x}", "%y-%m-%d %M:%S %H"
    try:
        return datetime.strptime(text, form).isoformat() + "Z"
    except ValueError:
        return ""


def clock_bytes(seconds: float) -> bytes:
    """The registers of a clock for a time in seconds since 1970; the inverse, for emulators."""
    from datetime import datetime, timedelta  # noqa: PLC0415

    text = (datetime(1970, 1, 1) + timedelta(seconds=seconds)).strftime("%S%M%H0%w%d%m%y")
    return bytes.fromhex(text)


def _no_limits(_: Layout) -> tuple[float, float]:
    return float("-inf"), float("inf")


def _as_it_was(_: float, data: bytes, __: Layout) -> bytes:
    return data


CODINGS: dict[str, Coding] = {
    "binary": Coding(_decode_binary, lambda raw, data, layout: _with_bits(int(raw), data, layout), _limits_of_binary),
    "sign_magnitude": Coding(_decode_sign_magnitude, _encode_sign_magnitude, _limits_of_sign_magnitude),
    "parts": Coding(_decode_parts, _encode_parts, _limits_of_parts),
    "bcd": Coding(_decode_bcd, _encode_bcd, lambda layout: (0, 10 ** (layout.width // 4) - 1)),
    "float32": Coding(_decode_float32, _encode_float32, lambda _: (-3.4e38, 3.4e38)),
    "text": Coding(_decode_text, _as_it_was, _no_limits),
    "bcd_clock": Coding(_decode_clock, lambda raw, _, __: clock_bytes(raw), _no_limits),
}
SIZES = {"float32": 4, "bcd_clock": 7}
"""Of codings that have one size."""
TEXTS = ("text", "bcd_clock")
"""Codings whose values are no numbers."""
