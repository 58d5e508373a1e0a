"""NMEA 0183 sentences and what they say of a fix. No I/O.

Follows NMEA 0183 version 4.11: framing (section 5.3), GGA, GSA, GSV, RMC, VTG (section 8.3).
"""

from __future__ import annotations

import functools
import math
import operator
import re

import msgspec

from device_bridge import Quality, Quantity, Reading

MAX_SENTENCE = 120
"""Bytes from `$` to the checksum. The standard allows 82 with CR LF; receivers with many decimals send about 100."""

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
    Quantity("fix_quality", "", (0, 9), "GGA: 0 none, 1 GPS, 2 differential, 4 RTK, 5 float RTK, 6 estimated"),
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


class Sentence(msgspec.Struct, frozen=True, gc=False):
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
    """Finds sentences in any stream of bytes, cut anywhere. Holds at most MAX_SENTENCE bytes back.

    Starts anew at every `$` or `!`, so garbage costs at most the sentence it falls into.

    Parameters:
        require_checksum: whether a sentence without one is taken for noise.
    """

    def __init__(self, *, require_checksum: bool = True) -> None:
        self._require_checksum = require_checksum
        self._pending = b""
        self.sentences = 0
        """Sentences found good."""
        self.checksum_errors = 0
        """Sentences whose checksum is wrong, or missing where one is required."""
        self.garbled = 0
        """Bytes, other than CR and LF, that belong to no sentence: noise, half or too long ones, no address."""

    def feed(self, data: bytes) -> list[Sentence]:
        """The sentences completed by this data."""
        buffer = self._pending + data
        found: list[Sentence] = []
        end = noise = 0
        for frame in _FRAME.finditer(buffer):
            start, end = frame.span()
            try:
                found.append(self._sentence(frame[1]))
            except _ChecksumError:
                self.checksum_errors += 1
            except ValueError:
                continue
            noise -= end - start - 1
        self.sentences += len(found)
        start = max(buffer.rfind(b"$", end), buffer.rfind(b"!", end))
        if start < 0 or len(buffer) - start > MAX_SENTENCE:
            start = len(buffer)
        self._pending = buffer[start:]
        self.garbled += noise + start - buffer.count(b"\r", 0, start) - buffer.count(b"\n", 0, start)
        return found

    def _sentence(self, frame: bytes) -> Sentence:
        if len(frame) >= MAX_SENTENCE:
            raise ValueError
        body, star, checksum = frame.partition(b"*")
        address, *fields = body.decode("ascii").split(",")
        if star or self._require_checksum:
            checksum = checksum.rstrip(b" ")
            if not _CHECKSUM.fullmatch(checksum) or functools.reduce(operator.xor, body, 0) != int(checksum, 16):
                raise _ChecksumError
        parts = _ADDRESS.fullmatch(address)
        if parts is None or not fields:
            raise ValueError
        return Sentence(parts[1], parts[2], tuple(fields))


class _ChecksumError(ValueError):
    pass


class Decoder:
    """Turns sentences into readings; remembers the satellites in view of each system.

    Without a fix, position is given as bad, without a value: never as 0, 0. What receivers send as its altitude and
    precision then (99.99) means nothing and gives no reading, as does a field that is empty.
    """

    def __init__(self) -> None:
        self._in_view: dict[str, dict[str, int]] = {}

    def decode(self, sentence: Sentence) -> tuple[Reading, ...]:
        """The readings of one sentence, none for a type that is not known. Raises MalformedSentence."""
        decode = _DECODERS.get(sentence.type) if sentence.talker != "P" else None
        if decode is None:
            return ()
        return tuple(decode(self, _Fields(sentence)))

    def _gga(self, fields: _Fields) -> list[Reading]:
        indicator = fields.integer(5, "fix quality", 9)
        quality, reason = _GGA_QUALITY.get(indicator if indicator is not None else 0, (Quality.GOOD, ""))
        readings = _position(fields, 1, quality, reason)
        if quality is not Quality.BAD:
            fields.letter(9, "unit of altitude", "M")
            fields.letter(11, "unit of geoid separation", "M")
            readings += [
                _reading("altitude", fields.number(8, "altitude"), quality, reason),
                _reading("geoid_separation", fields.number(10, "geoid separation"), quality, reason),
                _reading("hdop", fields.number(7, "HDOP", 0)),
            ]
        used = fields.integer(6, "satellites used", 999)
        return _present([*readings, _reading("fix_quality", indicator), _reading("satellites_used", used)])

    def _rmc(self, fields: _Fields) -> list[Reading]:
        status = fields.letter(1, "status", "AV")
        mode = fields.letter(11, "mode", _MODES)
        quality, reason = _MODE_QUALITY.get(mode if status == "A" else "N", (Quality.GOOD, ""))
        readings = _position(fields, 2, quality, reason)
        if quality is not Quality.BAD:
            readings += [
                _reading("speed", fields.number(6, "speed", 0, scale=KNOT), quality, reason),
                _reading("course", fields.number(7, "course", 0, 360), quality, reason),
            ]
        return _present(readings)

    def _vtg(self, fields: _Fields) -> list[Reading]:
        # Before version 2 the letters were missing and the numbers stood elsewhere.
        for position, unit in ((1, "T"), (3, "M"), (5, "N"), (7, "K")):
            fields.letter(position, "unit", unit)
        quality, reason = _MODE_QUALITY.get(fields.letter(8, "mode", _MODES), (Quality.GOOD, ""))
        if quality is Quality.BAD:
            return []
        speed = fields.number(4, "speed", 0, scale=KNOT)
        if speed is None:
            speed = fields.number(6, "speed", 0, scale=KM_PER_HOUR)
        return _present(
            [
                _reading("speed", speed, quality, reason),
                _reading("course", fields.number(0, "course", 0, 360), quality, reason),
                _reading("course_magnetic", fields.number(2, "magnetic course", 0, 360), quality, reason),
            ]
        )

    def _gsa(self, fields: _Fields) -> list[Reading]:
        mode = fields.integer(1, "fix mode", 3)
        names = () if mode == 1 else ("pdop", "hdop", "vdop")
        ratios = [_reading(name, fields.number(at, name.upper(), 0)) for at, name in enumerate(names, 14)]
        return _present([_reading("fix_mode", mode), *ratios])

    def _gsv(self, fields: _Fields) -> list[Reading]:
        total, number = fields.integer(0, "messages", 99), fields.integer(1, "message number", 99)
        in_view = fields.integer(2, "satellites in view", 999)
        if total is None or number != total or in_view is None:
            return []
        # From version 4.10 each signal has a group of its own and its identifier after the blocks of four; most
        # satellites send several, so the largest group counts. A signal that comes again begins a new round.
        count = len(fields.sentence.fields)
        signal = fields.letter(count - 1, "signal", "0123456789ABCDEF") if count % 4 == 0 else ""
        signals = self._in_view.setdefault(fields.sentence.talker, {})
        if signal in signals or not in_view:
            signals.clear()
        signals[signal] = in_view
        return [_reading("satellites_in_view", sum(max(each.values()) for each in self._in_view.values()))]


_MODES = "ADEFMNPRS"
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

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_INTEGER = re.compile(r"[0-9]{1,9}")
_ANGLE = re.compile(r"([0-9]{1,3})([0-5][0-9](?:\.[0-9]*)?)")


class _Fields:
    """Fields of one sentence, by position; one that is empty or missing is None."""

    def __init__(self, sentence: Sentence) -> None:
        self.sentence = sentence

    def text(self, position: int) -> str:
        fields = self.sentence.fields
        return fields[position] if position < len(fields) else ""

    def number(
        self, position: int, name: str, low: float = -1e6, high: float = 1e6, scale: float = 1.0
    ) -> float | None:
        text = self.text(position)
        if not text:
            return None
        value = float(text) + 0.0 if _NUMBER.fullmatch(text) else None  # + 0.0: there is no -0
        if value is None or not low <= value <= high:
            raise MalformedSentence(self.sentence.type, name, text)
        return value * scale

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
        if not text:
            return None
        parts = _ANGLE.fullmatch(text)
        degrees = int(parts[1]) + float(parts[2]) / 60 if parts else math.inf
        if degrees > limit:
            raise MalformedSentence(self.sentence.type, name, text)
        if len(hemisphere) != 1 or hemisphere not in hemispheres:
            raise MalformedSentence(self.sentence.type, f"hemisphere of {name}", hemisphere)
        return 0.0 - degrees if hemisphere == hemispheres[1] else degrees


def _position(fields: _Fields, position: int, quality: Quality, reason: str) -> list[Reading]:
    lat = fields.angle(position, "latitude", "NS", 90)
    lon = fields.angle(position + 2, "longitude", "EW", 180)
    if quality is Quality.BAD or lat is None or lon is None:
        why = reason if quality is Quality.BAD else "no position given"
        return [Reading(name, None, name, quality=Quality.BAD, reason=why) for name in ("lat", "lon")]
    return [_reading("lat", lat, quality, reason), _reading("lon", lon, quality, reason)]


def _reading(name: str, value: float | None, quality: Quality = Quality.GOOD, reason: str = "") -> Reading:
    return Reading(name, value, _UNITS[name], quality=quality, reason=reason)


def _present(readings: list[Reading]) -> list[Reading]:
    return [reading for reading in readings if reading.value is not None or reading.quality is Quality.BAD]
