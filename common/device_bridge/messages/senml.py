"""SenML (RFC 8428) packs and readings. No I/O.

A reading of good quality is a plain SenML record. Any other carries two more labels, which receivers that do not
know them ignore (section 4.4): `quality` and `reason`. One without a value has the empty string as its value, as
every record must have one: never a number that could be taken for a measurement. A pack that was made before the
wall clock could be trusted says `"clock":"not set"` in its first record.
"""

from __future__ import annotations

import math

import msgspec

from iofog_sdk.messages import SENML_TYPE, SenmlRecord, parse_senml
from iofog_sdk.messages import SenmlError as InvalidPack

from ..errors import BridgeError
from ..reading import Quality, Reading, Sample

INFO_TYPE = SENML_TYPE
INFO_FORMAT = "utf-8"
_CLOCK_NOT_SET = "not set"
_MAX_BITS = 1023
"""Of an integer that a receiver can still take for a floating-point number."""
_SECONDARY_UNITS = {
    *("ms", "min", "h", "MHz", "kW", "kVA", "kvar", "Ah", "Wh", "kWh", "varh", "kvarh", "kVAh", "Wh/km", "KiB", "GB"),
    *("Mbit/s", "B/s", "MB/s", "mV", "mA", "dBm", "ug/m3", "mm/h", "m/h", "ppm", "/100", "/1000", "hPa", "mm"),
    *("cm", "km", "km/h"),
}
"""RFC 8798 section 3. A pack with one states it in its version (RFC 9100 section 3), as receivers must know them."""
_VERSION, _VERSION_SECONDARY_UNITS = 10, 10 + 2**4


class SenmlError(BridgeError, ValueError):
    """A pack is not SenML, or has labels this package does not know."""


class _Record(msgspec.Struct, omit_defaults=True, gc=False):
    bn: str = ""
    bt: float | None = None
    bver: int = _VERSION
    n: str = ""
    u: str = ""
    v: float | int | None = None
    vs: str | None = None
    vb: bool | None = None
    t: float | None = None
    quality: str = "good"
    reason: str = ""
    clock: str = "set"


_encoder = msgspec.json.Encoder()


def encode(sample: Sample, base_name: str = "", *, clock_set: bool = True) -> bytes:
    """One pack from readings taken together.

    Parameters:
        sample: at least one reading, stamped with its time.
        base_name: put before every name by receivers; ends in a separator by convention.
        clock_set: whether the wall clock could be trusted.
    """
    base_time = sample[0].time
    records = []
    secondary = False
    for reading in sample:
        secondary = secondary or reading.unit in _SECONDARY_UNITS
        record = _Record(n=reading.name, u=reading.unit)
        if reading.time != base_time:
            record.t = round(reading.time - base_time, 6)
        value, quality, reason = reading.value, reading.quality, reading.reason
        if isinstance(value, float) and not math.isfinite(value):
            value, quality, reason = None, Quality.BAD, reason or f"not a number ({reading.value})"
        elif isinstance(value, int) and value.bit_length() > _MAX_BITS:
            value, quality, reason = None, Quality.BAD, "a number that is too large"
        if value is None:
            record.vs = ""
            if quality is Quality.GOOD:
                quality, reason = Quality.BAD, reason or "no value"
        elif isinstance(value, bool):
            record.vb = value
        elif isinstance(value, str):
            record.vs = value
        else:
            record.v = value
        if quality is not Quality.GOOD:
            record.quality, record.reason = quality.value, reason
        records.append(record)
    records[0].bn, records[0].bt = base_name, round(base_time, 6)
    if secondary:
        records[0].bver = _VERSION_SECONDARY_UNITS
    if not clock_set:
        records[0].clock = _CLOCK_NOT_SET
    return _encoder.encode(records)


def clock_was_set(pack: bytes) -> bool:
    """Whether the times of a pack can be trusted. Raises SenmlError."""
    return all(record.fields.get("clock") != _CLOCK_NOT_SET for record in _parse(pack))


def shift_time(pack: bytes, seconds: float) -> bytes:
    """The pack with its base times corrected by this much, and no longer marked. Raises SenmlError."""
    records = [record.fields for record in _parse(pack)]
    for fields in records:
        if "bt" in fields:
            fields["bt"] = round(fields["bt"] + seconds, 6)
        fields.pop("clock", None)
    return _encoder.encode(records)


def decode(pack: bytes) -> list[Reading]:
    """The readings of a pack, names and times resolved. Raises SenmlError."""
    return [reading for record in _parse(pack) if (reading := to_reading(record)) is not None]


def to_reading(record: SenmlRecord) -> Reading | None:
    """A record as a reading, None for one without a value that a reading can have. Raises SenmlError."""
    value = record.value
    if value is None or isinstance(value, bytes):
        return None
    label, reason = record.fields.get("quality", "good"), record.fields.get("reason", "")
    try:
        quality = Quality(label)
    except ValueError:
        raise SenmlError(f"unknown quality {label!r}") from None
    if not isinstance(reason, str):
        raise SenmlError(f"reason {reason!r} is not text")
    has_value = quality is Quality.GOOD or value != ""
    return Reading(record.name, value if has_value else None, record.unit, record.time, quality, reason)


def _parse(pack: bytes) -> list[SenmlRecord]:
    try:
        return parse_senml(pack)
    except InvalidPack as error:
        raise SenmlError(str(error)) from None
