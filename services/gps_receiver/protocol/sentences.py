"""Sentences about the fix: position, motion, time, precision. No I/O.

Follows NMEA 0183 version 4.11, section 8.3: GGA, GLL, GNS, GSA, GST, RMC, VTG, ZDA. In each, what is said of the
quality of the fix is read before the values it is about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from device_bridge import Quality, Reading

from .clock import ReceiverClock
from .fields import Column, Fields, time_of_day_s
from .fix import CONTRADICTED, MODES, QUALITIES, UNKNOWN, VALID, Fix, FixStatements, by_modes, by_status, worst
from .satellites import SatellitesInView

KNOT = 1852 / 3600
"""Metres per second."""
KM_PER_HOUR = 1 / 3.6


class ReceiverState:
    """What has been heard of one receiver so far."""

    def __init__(self) -> None:
        self.fix = FixStatements()
        self.clock = ReceiverClock()
        self.satellites = SatellitesInView()


Decode: TypeAlias = Callable[[Fields, ReceiverState], list[Reading]]

_GGA = (
    Column("altitude", 8, low=-1e6, letter="M"),
    Column("geoid_separation", 10, low=-1e6, letter="M"),
)
_GNS = (Column("altitude", 8, low=-1e6), Column("geoid_separation", 9, low=-1e6))
_HDOP_OF_FIX = (Column("hdop", 7),)
_RMC = (Column("speed", 6, scale=KNOT), Column("course", 7, high=360))
_VTG = (
    Column("speed", 4, scale=KNOT, letter="N"),
    Column("speed", 6, scale=KM_PER_HOUR, letter="K"),
    Column("course", 0, high=360, letter="T"),
    Column("course_magnetic", 2, high=360, letter="M"),
)
_VTG_BEFORE_VERSION_2 = (
    Column("speed", 2, scale=KNOT),
    Column("speed", 3, scale=KM_PER_HOUR),
    Column("course", 0, high=360),
    Column("course_magnetic", 1, high=360),
)
_GSA = tuple(Column(name, at) for at, name in enumerate(("pdop", "hdop", "vdop"), 14))
_GST = (
    Column("range_error", 1),
    Column("ellipse_major", 2),
    Column("ellipse_minor", 3),
    Column("ellipse_orientation", 4, low=-180, high=360),
    Column("lat_error", 5),
    Column("lon_error", 6),
    Column("altitude_error", 7),
)


def _gga(fields: Fields, receiver: ReceiverState) -> list[Reading]:
    indicator = fields.text(5)
    fix = receiver.fix.note(
        fields.sentence.type, QUALITIES.get(indicator, UNKNOWN), time_of_day_s(fields.text(0)), has_mode=True
    )
    return [
        *_of_fix(fields, 1, _GGA, fix),
        *fields.integer("fix_quality", 5, 9),
        *fields.integer("satellites_used", 6, 999),
    ]


def _gns(fields: Fields, receiver: ReceiverState) -> list[Reading]:
    modes = fields.text(5)
    _count_unknown(fields, modes)
    time_s, navigation = time_of_day_s(fields.text(0)), fields.text(12)
    fix = receiver.fix.note(fields.sentence.type, by_modes(modes), time_s, has_mode=True, navigation=navigation)
    return [*_of_fix(fields, 1, _GNS, fix), *fields.integer("satellites_used", 6, 999)]


def _of_fix(fields: Fields, at: int, columns: tuple[Column, ...], fix: Fix) -> list[Reading]:
    """Position, and what is worth reading only where there is one."""
    readings = fields.position(at, fix)
    if fix.quality is not Quality.BAD:
        readings += [*fields.readings(columns, fix), *fields.readings(_HDOP_OF_FIX)]
    return readings


def _rmc(fields: Fields, receiver: ReceiverState) -> list[Reading]:
    fix = _by_status(fields, receiver, status_at=1, mode_at=11, time_at=0, navigation=fields.text(12))
    readings = fields.position(2, fix)
    if fix.quality is not Quality.BAD:
        readings += fields.readings(_RMC, fix)
    date = fields.text(8)
    parts = (date[4:], date[2:4], date[:2])
    return [*readings, *receiver.clock.read(fields, fields.text(0), parts if date else None, fix)]


def _gll(fields: Fields, receiver: ReceiverState) -> list[Reading]:
    return fields.position(0, _by_status(fields, receiver, status_at=5, mode_at=6, time_at=4))


def _by_status(
    fields: Fields, receiver: ReceiverState, *, status_at: int, mode_at: int, time_at: int, navigation: str = ""
) -> Fix:
    status, mode = fields.text(status_at), fields.text(mode_at)
    if status not in ("A", "V", ""):
        fields.refuse("status", status)
    _count_unknown(fields, mode)
    time_s = time_of_day_s(fields.text(time_at))
    return receiver.fix.note(
        fields.sentence.type, by_status(status, mode), time_s, has_mode=mode in MODES, navigation=navigation
    )


def _vtg(fields: Fields, receiver: ReceiverState) -> list[Reading]:
    if len(fields.sentence.fields) == 4:
        return fields.readings(_VTG_BEFORE_VERSION_2, receiver.fix.last) if _has_fix(receiver) else []
    mode = fields.text(8)
    _count_unknown(fields, mode)
    fix = worst(receiver.fix.last, MODES.get(mode, UNKNOWN) if mode else VALID)
    return [] if fix.quality is Quality.BAD else fields.readings(_VTG, fix)


def _gsa(fields: Fields, receiver: ReceiverState) -> list[Reading]:
    if fields.text(1) == "1":
        return fields.integer("fix_mode", 1, 3)
    if not _has_fix(receiver):
        return fields.integer("fix_mode", 1, 3, CONTRADICTED)
    return [*fields.integer("fix_mode", 1, 3), *fields.readings(_GSA)]


def _gsv(fields: Fields, receiver: ReceiverState) -> list[Reading]:
    return receiver.satellites.read(fields)


def _gst(fields: Fields, receiver: ReceiverState) -> list[Reading]:
    return fields.readings(_GST, receiver.fix.last) if _has_fix(receiver) else []


def _zda(fields: Fields, receiver: ReceiverState) -> list[Reading]:
    parts = (fields.text(3), fields.text(2), fields.text(1))
    return receiver.clock.read(fields, fields.text(0), parts if all(parts) else None, receiver.fix.last)


def _has_fix(receiver: ReceiverState) -> bool:
    return receiver.fix.last.quality is not Quality.BAD


def _count_unknown(fields: Fields, modes: str) -> None:
    if any(mode not in MODES for mode in modes):
        fields.refuse("mode", modes)


FIX_SENTENCES: dict[str, Decode] = {
    "GGA": _gga,
    "GLL": _gll,
    "GNS": _gns,
    "GSA": _gsa,
    "GST": _gst,
    "GSV": _gsv,
    "RMC": _rmc,
    "VTG": _vtg,
    "ZDA": _zda,
}
