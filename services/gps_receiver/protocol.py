"""NMEA 0183 sentences and what they say of a fix. No I/O.

Follows NMEA 0183 version 4.11: framing (section 5.3), GGA, GSA, GSV, RMC, VTG (section 8.3).
"""

from __future__ import annotations

import functools
import operator
import re
from typing import NamedTuple

from device_bridge import Quality, Quantity, Reading

MAX_SENTENCE = 120
"""Bytes from `$` to the end. The standard allows 82; receivers with many decimals send up to about 100."""

KNOT = 1852 / 3600
"""Metres per second."""
KM_PER_HOUR = 1 / 3.6

QUANTITIES = (
    Quantity("lat", "lat", (-90, 90), "latitude, WGS 84, north positive"),
    Quantity("lon", "lon", (-180, 180), "longitude, WGS 84, east positive"),
    Quantity("altitude", "m", (-1_000, 50_000), "antenna above mean sea level"),
    Quantity("geoid_separation", "m", (-120, 120), "mean sea level above the WGS 84 ellipsoid"),
    Quantity("speed", "m/s", (0, 2_000), "speed over ground"),
    Quantity("course", "deg", (0, 360), "true course over ground"),
    Quantity("course_magnetic", "deg", (0, 360), "magnetic course over ground"),
    Quantity("fix_quality", "", (0, 8), "GGA: 0 none, 1 GPS, 2 differential, 4 RTK, 5 float RTK, 6 estimated"),
    Quantity("fix_mode", "", (1, 3), "GSA: 1 none, 2 two-dimensional, 3 three-dimensional"),
    Quantity("satellites_used", "count", (0, 200), "satellites the fix is computed from"),
    Quantity("satellites_in_view", "count", (0, 200), "satellites above the horizon, all systems"),
    Quantity("pdop", "/", (0, 100), "dilution of precision, position"),
    Quantity("hdop", "/", (0, 100), "dilution of precision, horizontal"),
    Quantity("vdop", "/", (0, 100), "dilution of precision, vertical"),
)
_UNITS = {quantity.name: quantity.unit for quantity in QUANTITIES}


class MalformedSentence(ValueError):  # noqa: N818 - the name says what happened
    """A sentence with a right checksum has a field that cannot be.

    Parameters:
        sentence: its type.
        field: which field.
        value: what stands there.
    """

    def __init__(self, sentence: str, field: str, value: str) -> None:
        self.sentence, self.field, self.value = sentence, field, value
        super().__init__(f"{sentence}: {field} cannot be {value!r}")


class Sentence(NamedTuple):
    """One sentence: `$GPGGA,a,b*hh` has talker `GP`, type `GGA`, fields `a` and `b`.

    A proprietary sentence (`$PGRME`) has talker `P` and the rest of its address as type.
    """

    talker: str
    type: str
    fields: tuple[str, ...]


_FRAME = re.compile(rb"[$!]([^$!\r\n]*)[\r\n]")
_ADDRESS = re.compile(r"(P|[A-Z][A-Z0-9])([A-Z0-9]{3,8})")
_CHECKSUM = re.compile(rb"[0-9A-Fa-f]{2}")


class SentenceReader:
    """Finds sentences in any stream of bytes.

    Starts anew at every `$` or `!`, so garbage costs at most the sentence it falls into.

    Parameters:
        require_checksum: whether a sentence without one is taken for noise.
    """

    def __init__(self, *, require_checksum: bool = True) -> None:
        self._require_checksum = require_checksum
        self._buffer = b""
        self.sentences = 0
        """Sentences found good."""
        self.checksum_errors = 0
        """Sentences whose checksum is wrong, or missing where one is required."""
        self.garbled = 0
        """Frames that are no sentences: too long, not ASCII, no address."""

    def feed(self, data: bytes) -> list[Sentence]:
        """The sentences completed by this data."""
        buffer = self._buffer + data
        found: list[Sentence] = []
        end = 0
        for frame in _FRAME.finditer(buffer):
            end = frame.end()
            sentence = self._sentence(frame[1])
            if sentence is not None:
                found.append(sentence)
        start = max(buffer.rfind(b"$", end), buffer.rfind(b"!", end))
        if start < 0:
            self._buffer = b""
        elif len(buffer) - start > MAX_SENTENCE:
            self._buffer = b""
            self.garbled += 1
        else:
            self._buffer = buffer[start:]
        return found

    def _sentence(self, frame: bytes) -> Sentence | None:
        body, star, checksum = frame.partition(b"*")
        if len(frame) >= MAX_SENTENCE or not body.isascii():
            self.garbled += 1
            return None
        if star or self._require_checksum:
            checksum = checksum.rstrip(b" ")
            if not _CHECKSUM.fullmatch(checksum) or functools.reduce(operator.xor, body, 0) != int(checksum, 16):
                self.checksum_errors += 1
                return None
        address, *fields = body.decode("ascii").split(",")
        parts = _ADDRESS.fullmatch(address)
        if parts is None or not fields:
            self.garbled += 1
            return None
        self.sentences += 1
        return Sentence(parts[1], parts[2], tuple(fields))


class Decoder:
    """Turns sentences into readings; remembers the satellites in view of each system.

    Without a fix, position is given as bad, without a value: never as 0, 0. A field that is empty gives no reading.
    """

    def __init__(self) -> None:
        self._in_view: dict[str, int] = {}

    def decode(self, sentence: Sentence) -> tuple[Reading, ...]:
        """The readings of one sentence, none for a type that is not known. Raises MalformedSentence."""
        decode = _DECODERS.get(sentence.type) if sentence.talker != "P" else None
        if decode is None:
            return ()
        return tuple(decode(self, _Fields(sentence)))

    def _gga(self, fields: _Fields) -> list[Reading]:
        indicator = fields.integer(5, "fix quality", 8)
        quality, reason = _GGA_QUALITY.get(indicator if indicator is not None else 0, (Quality.GOOD, ""))
        readings = _position(fields, 1, quality, reason)
        if quality is not Quality.BAD:
            readings += [
                _reading("altitude", fields.number(8, "altitude"), quality, reason),
                _reading("geoid_separation", fields.number(10, "geoid separation"), quality, reason),
            ]
        readings += [
            _reading("fix_quality", indicator),
            _reading("satellites_used", fields.integer(6, "satellites used", 999)),
            _reading("hdop", fields.number(7, "HDOP", 0)),
        ]
        return _present(readings)

    def _rmc(self, fields: _Fields) -> list[Reading]:
        status = fields.letter(1, "status", "AV")
        mode = fields.letter(11, "mode", "ADEFMNPRS")
        if status != "A":
            mode = "N"
        quality, reason = _MODE_QUALITY.get(mode, (Quality.GOOD, ""))
        readings = _position(fields, 2, quality, reason)
        if quality is not Quality.BAD:
            readings += _motion(fields, knots=6, course=7, quality=quality, reason=reason)
        return _present(readings)

    def _vtg(self, fields: _Fields) -> list[Reading]:
        quality, reason = _MODE_QUALITY.get(fields.letter(8, "mode", "ADEFMNPRS"), (Quality.GOOD, ""))
        if quality is Quality.BAD:
            return []
        readings = _motion(fields, knots=4, course=0, quality=quality, reason=reason)
        if not any(reading.name == "speed" for reading in readings):
            km_per_hour = fields.number(6, "speed", 0)
            readings.append(_reading("speed", km_per_hour and km_per_hour * KM_PER_HOUR, quality, reason))
        magnetic = fields.number(2, "magnetic course", 0, 360)
        readings.append(_reading("course_magnetic", magnetic, quality, reason))
        return _present(readings)

    def _gsa(self, fields: _Fields) -> list[Reading]:
        return _present(
            [
                _reading("fix_mode", fields.integer(1, "fix mode", 3)),
                _reading("pdop", fields.number(14, "PDOP", 0)),
                _reading("hdop", fields.number(15, "HDOP", 0)),
                _reading("vdop", fields.number(16, "VDOP", 0)),
            ]
        )

    def _gsv(self, fields: _Fields) -> list[Reading]:
        total, number = fields.integer(0, "messages", 99), fields.integer(1, "message number", 99)
        in_view = fields.integer(2, "satellites in view", 999)
        if total is None or number != total or in_view is None:
            return []
        self._in_view[fields.sentence.talker] = in_view
        if len(self._in_view) > len(_UNITS):  # only noise has so many talkers
            self._in_view = {fields.sentence.talker: in_view}
        return [_reading("satellites_in_view", sum(self._in_view.values()))]


_GGA_QUALITY = {
    0: (Quality.BAD, "no fix"),
    6: (Quality.UNCERTAIN, "estimated by dead reckoning"),
    7: (Quality.UNCERTAIN, "entered by hand"),
    8: (Quality.UNCERTAIN, "simulated"),
}
_MODE_QUALITY = {
    "N": (Quality.BAD, "no fix"),
    "E": (Quality.UNCERTAIN, "estimated by dead reckoning"),
    "M": (Quality.UNCERTAIN, "entered by hand"),
    "S": (Quality.UNCERTAIN, "simulated"),
}
_DECODERS = {"GGA": Decoder._gga, "RMC": Decoder._rmc, "VTG": Decoder._vtg, "GSA": Decoder._gsa, "GSV": Decoder._gsv}

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)", re.ASCII)
_INTEGER = re.compile(r"[0-9]{1,9}", re.ASCII)
_ANGLE = re.compile(r"([0-9]{1,3})([0-9]{2}(?:\.[0-9]*)?)", re.ASCII)


class _Fields:
    """Fields of one sentence, by position; one that is empty or missing is None."""

    def __init__(self, sentence: Sentence) -> None:
        self.sentence = sentence

    def text(self, position: int) -> str:
        fields = self.sentence.fields
        return fields[position] if position < len(fields) else ""

    def number(self, position: int, name: str, low: float = -1e6, high: float = 1e6) -> float | None:
        text = self.text(position)
        if not text:
            return None
        value = float(text) if _NUMBER.fullmatch(text) else None
        if value is None or not low <= value <= high:
            raise MalformedSentence(self.sentence.type, name, text)
        return value

    def integer(self, position: int, name: str, high: int) -> int | None:
        text = self.text(position)
        if not text:
            return None
        if not _INTEGER.fullmatch(text) or int(text) > high:
            raise MalformedSentence(self.sentence.type, name, text)
        return int(text)

    def letter(self, position: int, name: str, known: str) -> str:
        text = self.text(position)
        if text and (len(text) > 1 or text not in known):
            raise MalformedSentence(self.sentence.type, name, text)
        return text

    def angle(self, position: int, name: str, hemispheres: str, limit: int) -> float | None:
        """Degrees from `dddmm.mmmm` and a hemisphere letter; the second letter of a pair is negative."""
        text, hemisphere = self.text(position), self.text(position + 1)
        if not text and not hemisphere:
            return None
        parts = _ANGLE.fullmatch(text)
        if parts is None or float(parts[2]) >= 60:
            raise MalformedSentence(self.sentence.type, name, text)
        if len(hemisphere) != 1 or hemisphere not in hemispheres:
            raise MalformedSentence(self.sentence.type, f"hemisphere of {name}", hemisphere)
        degrees = int(parts[1]) + float(parts[2]) / 60
        if degrees > limit:
            raise MalformedSentence(self.sentence.type, name, text)
        return -degrees if hemisphere == hemispheres[1] else degrees


def _position(fields: _Fields, position: int, quality: Quality, reason: str) -> list[Reading]:
    lat = fields.angle(position, "latitude", "NS", 90)
    lon = fields.angle(position + 2, "longitude", "EW", 180)
    if quality is Quality.BAD or lat is None or lon is None:
        why = reason if quality is Quality.BAD else "no position given"
        return [Reading(name, None, name, quality=Quality.BAD, reason=why) for name in ("lat", "lon")]
    return [_reading("lat", lat, quality, reason), _reading("lon", lon, quality, reason)]


def _motion(fields: _Fields, *, knots: int, course: int, quality: Quality, reason: str) -> list[Reading]:
    speed = fields.number(knots, "speed", 0)
    return _present(
        [
            _reading("speed", None if speed is None else speed * KNOT, quality, reason),
            _reading("course", fields.number(course, "course", 0, 360), quality, reason),
        ]
    )


def _reading(name: str, value: float | None, quality: Quality = Quality.GOOD, reason: str = "") -> Reading:
    return Reading(name, value, _UNITS[name], quality=quality, reason=reason)


def _present(readings: list[Reading]) -> list[Reading]:
    return [reading for reading in readings if reading.value is not None or reading.quality is Quality.BAD]
