"""Fields of a sentence as numbers, angles and times. No I/O.

Follows NMEA 0183 version 4.11, section 5.3 (empty fields) and 6.2 (field formats). A field that is empty or missing
gives no reading. One that cannot be costs the quantity that it is about, not the sentence, and is counted.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import NamedTuple

from device_bridge import Quality, Reading

from .fix import DENIED, VALID, Fix
from .framing import Sentence
from .quantities import bad, reading_of

_LARGEST = 1e6
_DECIMALS = 9  # what the conversion of units adds beyond is noise
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_INTEGER = re.compile(r"[0-9]{1,9}")
_ANGLE = re.compile(r"([0-9]{1,3})([0-5][0-9](?:\.[0-9]*)?)")
_TIME = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9](?:\.[0-9]*)?|60(?:\.[0-9]*)?)")
_EPOCH_ORDINAL = datetime.date(1970, 1, 1).toordinal()
_GPS_BEGINS = 80  # the first of the two-digit years: GPS counts from 1980
DAY_S = 86_400


class Column(NamedTuple):
    """Where a sentence carries a quantity.

    Parameters:
        quantity: its name.
        at: position of the field, from 0.
        low, high: what the field can say at all.
        scale: from the field to the quantity's unit.
        letter: what the next field says of the unit, unless it is empty.
    """

    quantity: str
    at: int
    low: float = 0
    high: float = _LARGEST
    scale: float = 1.0
    letter: str = ""


class Fields:
    """Fields of one sentence, by position from 0.

    Parameters:
        sentence: that has them.
    """

    def __init__(self, sentence: Sentence) -> None:
        self.sentence = sentence
        self.malformed = 0
        """Fields that cannot be, so far."""

    def text(self, at: int) -> str:
        """The field as it was sent; "" for one that is missing."""
        fields = self.sentence.fields
        return fields[at] if at < len(fields) else ""

    def refuse(self, name: str, text: str) -> str:
        """Counts a field that cannot be, and returns the reason for what it was about."""
        self.malformed += 1
        return f"{self.sentence.type}: {name} cannot be {text!r}"

    def readings(self, columns: Sequence[Column], fix: Fix = VALID) -> list[Reading]:
        """What these columns say, no better than the fix; of columns for one quantity the first that is filled."""
        found: dict[str, Reading] = {}
        for column in columns:
            text = self.text(column.at)
            if text and column.quantity not in found:
                found[column.quantity] = self._reading(column, text, fix)
        return list(found.values())

    def _reading(self, column: Column, text: str, fix: Fix) -> Reading:
        letter = self.text(column.at + 1) if column.letter else ""
        if letter != column.letter and letter:
            return bad(self.refuse(f"unit of {column.quantity}", letter), column.quantity)[0]
        value = number(text, column.low, column.high)
        if value is None:
            return bad(self.refuse(column.quantity, text), column.quantity)[0]
        scaled = value if column.scale == 1.0 else round(value * column.scale, _DECIMALS)
        return reading_of(column.quantity, scaled, fix.quality, fix.reason)

    def integer(self, quantity: str, at: int, high: int, fix: Fix = VALID) -> list[Reading]:
        """What a field says that counts or names something."""
        text = self.text(at)
        if not text:
            return []
        if not _INTEGER.fullmatch(text) or int(text) > high:
            return bad(self.refuse(quantity, text), quantity)
        return [reading_of(quantity, int(text), fix.quality, fix.reason)]

    def position(self, at: int, fix: Fix) -> list[Reading]:
        """Latitude and longitude, from four fields; bad, and not looked at, where there is no fix."""
        if fix.quality is Quality.BAD:
            return [] if fix is DENIED else bad(fix.reason, "lat", "lon")
        texts = [self.text(at + offset) for offset in range(4)]
        if not texts[0] or not texts[2]:
            return bad("no position given", "lat", "lon")
        lat, lon = angle(texts[0], texts[1], "NS", 90), angle(texts[2], texts[3], "EW", 180)
        if lat is None or lon is None:
            name, first = ("latitude", 0) if lat is None else ("longitude", 2)
            return bad(self.refuse(name, ",".join(texts[first : first + 2])), "lat", "lon")
        return [reading_of(name, value, fix.quality, fix.reason) for name, value in (("lat", lat), ("lon", lon))]


def number(text: str, low: float = -_LARGEST, high: float = _LARGEST) -> float | None:
    """A decimal number in this range; None for anything else."""
    value = float(text) + 0.0 if _NUMBER.fullmatch(text) else None  # + 0.0: there is no -0
    return value if value is not None and low <= value <= high else None


def angle(text: str, hemisphere: str, hemispheres: str, limit: int) -> float | None:
    """Degrees from `dddmm.mmmm` and a hemisphere letter, the second of which is negative; None if it cannot be."""
    parts = _ANGLE.fullmatch(text)
    degrees = int(parts[1]) + float(parts[2]) / 60 if parts else limit + 1.0
    if degrees > limit or len(hemisphere) != 1 or hemisphere not in hemispheres:
        return None
    return 0.0 - degrees if hemisphere == hemispheres[1] else degrees


def time_of_day_s(text: str) -> float | None:
    """Seconds since midnight from `hhmmss.ss`; 86400 and more in a leap second, 23:59:60; None if it cannot be."""
    parts = _TIME.fullmatch(text)
    if parts is None:
        return None
    hour, minute, second = int(parts[1]), int(parts[2]), float(parts[3])
    if second >= 60 and (hour, minute) != (23, 59):
        return None
    return hour * 3600 + minute * 60 + second


def midnight_s(year: str, month: str, day: str) -> int | None:
    """Seconds from 1970 to the beginning of a date, UTC; None if it cannot be.

    A year of two digits is one from 1980 to 2079.
    """
    if not all(map(_INTEGER.fullmatch, (year, month, day))) or len(year) not in (2, 4):
        return None
    whole = int(year) if len(year) == 4 else int(year) + (1900 if int(year) >= _GPS_BEGINS else 2000)
    try:
        return (datetime.date(whole, int(month), int(day)).toordinal() - _EPOCH_ORDINAL) * DAY_S
    except ValueError:
        return None


def is_last_of_month(midnight: int) -> bool:
    """Whether the day that begins then may end with a leap second (ITU-R TF.460: the last of a month)."""
    return datetime.date.fromordinal(midnight // DAY_S + 1 + _EPOCH_ORDINAL).day == 1
