"""Numbers as devices write them: nothing is taken for a number that may mean something else. No I/O."""

from __future__ import annotations

import contextlib
import math
import re
import struct

_MAX_DIGITS = 400
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_SCIENTIFIC = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_SIGNED = re.compile(r"([+-]) *(.*)|(.*\d) *([+-])", re.ASCII | re.DOTALL)
_WITH_UNIT = re.compile(
    r"\s*([+-]? *[\d.,' ]*\d[.,]?(?:[eE][+-]?\d+(?![^\W\d_]))?)\s*\*?\s*(\D.*|)", re.ASCII | re.DOTALL
)
_EXACT_DIGITS = 15
_FLOAT32_DIGITS = (6, 7, 8, 9)


def plain_number(text: str, *, decimal: str = ".", grouping: str = "", exponent: bool = False) -> float:
    """The decimal number that a text is as a whole; NaN for any other text.

    Parameters:
        text: its sign may be before or behind the digits, with blanks between.
        decimal: decimal mark.
        grouping: mark between groups of three digits, "" for none.
        exponent: whether it may have one, as 1.5e3.
    """
    text = text.strip()
    if len(text) > _MAX_DIGITS:
        return math.nan
    if signed := _SIGNED.fullmatch(text):
        text = f"{signed[1] or signed[4]}{signed[2] or signed[3] or ''}"
    if grouping:
        mark, point = re.escape(grouping), re.escape(decimal)
        if re.fullmatch(rf"[+-]?\d{{1,3}}(?:{mark}\d{{3}})+(?:{point}\d*)?", text, re.ASCII):
            text = text.replace(grouping, "")
    if decimal != ".":
        text = text.replace(".", "?").replace(decimal, ".")
    if not (_SCIENTIFIC if exponent else _PLAIN).fullmatch(text):
        return math.nan
    if len(text) > _EXACT_DIGITS and _WHOLE.fullmatch(text):
        return int(text)  # a float would be another number
    return float(text)


def positional_number(text: str, base: int, bits: int = 0) -> float:
    """The whole number that a text is in another base; NaN for any other text.

    Parameters:
        text: digits, after `0x` where the base is 16.
        base: 2 to 36.
        bits: of a number in two's complement; 0 for one with a sign of its own, if any.
    """
    text = text.strip()
    prefix = "(?:0[xX])?" if base == 16 else ""
    digits = re.fullmatch(rf"([+-]?){prefix}([0-9A-Za-z]{{1,64}})", text)
    if digits is None or (bits and digits[1]):
        return math.nan
    try:
        value = int(digits[2], base)
    except ValueError:
        return math.nan
    if not bits:
        return -value if digits[1] == "-" else value
    if value >> bits:
        return math.nan
    return value - (1 << bits) if value >> bits - 1 else value


def split_unit(text: str) -> tuple[str, str | None]:
    """A number and the unit behind it, as `23.6C` and `1934.567*kWh`; None where the text does not begin with one."""
    match = _WITH_UNIT.fullmatch(text) if len(text) <= _MAX_DIGITS else None
    return (match[1], match[2].strip()) if match else (text, None)


def short_float32(number: float) -> float:
    """A number of single precision with the fewest digits that are it and no other: 230.1, not 230.10000610351562.

    A whole number is itself: 83380528 is no 83380530.
    """
    if number.is_integer():
        return number
    data = struct.pack(">f", number)
    for digits in _FLOAT32_DIGITS:
        short = float(f"{number:.{digits}g}")
        with contextlib.suppress(OverflowError):
            if struct.pack(">f", short) == data:
                return short
    return number
