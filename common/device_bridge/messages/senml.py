"""SenML (RFC 8428) packs and readings. No I/O.

A reading of good quality is a plain SenML record. Any other carries two more labels, which receivers that do not
know them ignore (section 4.4): `quality` and `reason`. One without a value has the empty string as its value, as
every record must have one: never a number that could be taken for a measurement. A pack that was made before the
wall clock could be trusted says `"clock":"not set"` in its first record.
"""

from __future__ import annotations

import math

import msgspec

from ..errors import BridgeError
from ..reading import Quality, Reading, Sample, Value

INFO_TYPE = "application/senml+json"
INFO_FORMAT = "utf-8"
MAX_RECORDS = 10_000
_CLOCK_NOT_SET = "not set"
_SECONDARY_UNITS = {
    *("ms", "min", "h", "MHz", "kW", "kVA", "kvar", "Ah", "Wh", "kWh", "varh", "kvarh", "kVAh", "Wh/km", "KiB", "GB"),
    *("Mbit/s", "B/s", "MB/s", "mV", "mA", "dBm", "ug/m3", "mm/h", "m/h", "ppm", "/100", "/1000", "hPa", "mm"),
    *("cm", "km", "km/h"),
}
"""RFC 8798 section 3. A pack with one says so in its version (RFC 9100 section 3), as receivers must know them."""
_WITH_SECONDARY_UNITS = 10 + 2**4


class SenmlError(BridgeError, ValueError):
    """A pack is not SenML, or not one this package reads."""


class _Record(msgspec.Struct, omit_defaults=True, gc=False):
    bn: str = ""
    bt: float | None = None
    bu: str = ""
    bv: float | None = None
    bver: int = 10
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
_decoder = msgspec.json.Decoder(list[_Record])


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
        records[0].bver = _WITH_SECONDARY_UNITS
    if not clock_set:
        records[0].clock = _CLOCK_NOT_SET
    return _encoder.encode(records)


def clock_was_set(pack: bytes) -> bool:
    """Whether the times of a pack can be trusted. Raises SenmlError."""
    return all(record.clock != _CLOCK_NOT_SET for record in _records(pack))


def shift_time(pack: bytes, seconds: float) -> bytes:
    """The pack at another time, which is now right. Raises SenmlError."""
    records = _records(pack)
    for record in records:
        if record.bt is not None:
            record.bt = round(record.bt + seconds, 6)
        record.clock = "set"
    return _encoder.encode(records)


def decode(pack: bytes) -> list[Reading]:
    """The readings of a pack, names and times resolved. Raises SenmlError."""
    records = _records(pack)
    base_name, base_time, base_unit, base_value = "", 0.0, "", 0.0
    readings = []
    for record in records:
        base_name, base_time = record.bn or base_name, record.bt or base_time
        base_unit = record.bu or base_unit
        base_value = base_value if record.bv is None else record.bv
        value: Value | None
        if record.v is None:
            value = record.vs if record.vb is None else record.vb
        else:
            value = record.v + base_value if base_value else record.v
        if value is None:
            continue
        try:
            quality = Quality(record.quality)
        except ValueError:
            raise SenmlError(f"unknown quality {record.quality!r}") from None
        if quality is not Quality.GOOD and value == "":
            value = None
        time = base_time + (record.t or 0.0)
        name = base_name + record.n
        if not name:
            raise SenmlError("a record has neither name nor base name")
        readings.append(Reading(name, value, record.u or base_unit, time, quality, record.reason))
    return readings


def _records(pack: bytes) -> list[_Record]:
    try:
        records = _decoder.decode(pack)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise SenmlError(f"not a SenML pack: {error}") from None
    if len(records) > MAX_RECORDS:
        raise SenmlError(f"{len(records)} records in a pack, at most {MAX_RECORDS} are read")
    return records
