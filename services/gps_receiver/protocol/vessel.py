"""Sentences of a vessel's instruments: heading, depth, water, wind. No I/O.

Follows NMEA 0183 version 4.11, section 8.3 (DBT, DPT, HDT, MTW, MWV, THS, VHW; DBK and DBS of version 1.5) and gpsd's
"NMEA Revealed" (https://gpsd.io/NMEA.html).
"""

from __future__ import annotations

from device_bridge import Quality, Reading

from .fields import Column, Fields, number
from .fix import ESTIMATED, MANUAL, SIMULATED, UNKNOWN, VALID, Fix
from .quantities import bad, reading_of
from .sentences import KM_PER_HOUR, KNOT, Decode, ReceiverState

FOOT = 0.3048
FATHOM = 1.8288
"""Metres."""
_MILE_PER_HOUR = 0.44704
_MILLIMETRES = 3

_HEADING = Column("heading", 0, high=360, letter="T")
_VHW = (
    _HEADING,
    Column("heading_magnetic", 2, high=360, letter="M"),
    Column("water_speed", 4, scale=KNOT, letter="N"),
    Column("water_speed", 6, scale=KM_PER_HOUR, letter="K"),
)
_MTW = (Column("water_temperature", 0, low=-1e6, letter="C"),)
_THS = (Column("heading", 0, high=360),)
_HEADING_MODES = {
    "A": VALID,
    "E": ESTIMATED,
    "M": MANUAL,
    "S": SIMULATED,
    "V": Fix(Quality.BAD, "no valid heading"),
}
_WINDS = {"R": "apparent_wind", "T": "true_wind"}
_WIND_UNITS = {"K": KM_PER_HOUR, "M": 1.0, "N": KNOT, "S": _MILE_PER_HOUR}


def _by_columns(*columns: Column) -> Decode:
    """For a sentence that says nothing of the quality of its values."""
    return lambda fields, receiver: fields.readings(columns)


def _depth(quantity: str) -> Decode:
    """One depth in feet, metres and fathoms; metres are preferred."""
    return _by_columns(
        Column(quantity, 2, letter="M"),
        Column(quantity, 0, scale=FOOT, letter="f"),
        Column(quantity, 4, scale=FATHOM, letter="F"),
    )


def _dpt(fields: Fields, receiver: ReceiverState) -> list[Reading]:
    """Depth below the transducer, with a positive offset to the water line or a negative one to the keel."""
    readings = fields.readings((Column("depth_below_transducer", 0),))
    offset_text = fields.text(1)
    depth, offset = number(fields.text(0), 0), number(offset_text)
    if depth is None or not offset_text:
        return readings
    if offset is None:
        fields.refuse("offset of the transducer", offset_text)
    elif offset:
        quantity = "depth_below_surface" if offset > 0 else "depth_below_keel"
        readings.append(reading_of(quantity, round(depth + offset, _MILLIMETRES)))
    return readings


def _ths(fields: Fields, receiver: ReceiverState) -> list[Reading]:
    mode = fields.text(1)
    if mode not in _HEADING_MODES:
        fields.refuse("mode", mode)
    fix = _HEADING_MODES.get(mode, UNKNOWN)
    return bad(fix.reason, "heading") if fix.quality is Quality.BAD else fields.readings(_THS, fix)


def _mwv(fields: Fields, receiver: ReceiverState) -> list[Reading]:
    reference, unit, status = fields.text(1), fields.text(3), fields.text(4)
    wind = _WINDS.get(reference)
    if wind is None:
        fields.refuse("reference of the wind", reference)
        return []
    angle, speed = f"{wind}_angle", f"{wind}_speed"
    if status != "A":
        return bad("no valid wind", angle, speed)
    readings = fields.readings((Column(angle, 0, high=360),))
    if unit in _WIND_UNITS:
        return readings + fields.readings((Column(speed, 2, scale=_WIND_UNITS[unit]),))
    return readings + (bad(fields.refuse("unit of the wind's speed", unit), speed) if fields.text(2) else [])


VESSEL_SENTENCES: dict[str, Decode] = {
    "DBK": _depth("depth_below_keel"),
    "DBS": _depth("depth_below_surface"),
    "DBT": _depth("depth_below_transducer"),
    "DPT": _dpt,
    "HDT": _by_columns(_HEADING),
    "MTW": _by_columns(*_MTW),
    "MWV": _mwv,
    "THS": _ths,
    "VHW": _by_columns(*_VHW),
}
