"""What a receiver and a vessel's instruments write about one moment: NMEA 0183, version 4.11. No I/O."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from .protocol import KNOT

_MODES = "NADPRFEMSD"  # of RMC, GLL, GNS, VTG, for each quality of GGA; 9 is what NovAtel gives for SBAS
_MEASURED = "ADFPR"
_TRANSDUCER_BELOW_SURFACE_M = 0.4


class Moment:
    """What the fields of a moment's sentences are made from.

    Parameters:
        get: a quantity's value by its name, in its unit.
        utc: what the clock says, seconds since 1970-01-01.
    """

    def __init__(self, get: Callable[[str], float], utc: float) -> None:
        self.get = get
        whole_s, hundredths = divmod(int(utc * 100), 100)
        self.clock = datetime(1970, 1, 1) + timedelta(seconds=whole_s)
        self.time = f"{self.clock:%H%M%S}.{hundredths:02d}"
        self.fix = int(get("fix_quality"))
        self.mode = _MODES[self.fix]
        self.status = "A" if self.mode in _MEASURED else "V"
        self.position = f"{_angle(get('lat'), 2, 'NS')},{_angle(get('lon'), 3, 'EW')}" if self.fix else ",,,"
        self.used = int(get("satellites_used")) if self.fix else 0

    def filled(self, fields: str) -> str:
        """The fields, or as many empty ones without a fix."""
        return fields if self.fix else "," * fields.count(",")


def _gga(at: Moment) -> list[str]:
    altitude = f"{at.get('altitude'):.1f},M,{at.get('geoid_separation'):.1f},M" if at.fix else ",M,,M"
    return [f"GGA,{at.time},{at.position},{at.fix},{at.used:02d},{at.get('hdop'):.1f},{altitude},,"]


def _gns(at: Moment) -> list[str]:
    values = at.filled(f"{at.get('hdop'):.1f},{at.get('altitude'):.1f},{at.get('geoid_separation'):.1f}")
    return [f"GNS,{at.time},{at.position},{at.mode * 2},{at.used:02d},{values},,,V"]


def _gll(at: Moment) -> list[str]:
    return [f"GLL,{at.position},{at.time},{at.status},{at.mode}"]


def _rmc(at: Moment) -> list[str]:
    motion = at.filled(f"{at.get('speed') / KNOT:.3f},{at.get('course') % 360:.2f}")
    return [f"RMC,{at.time},{at.status},{at.position},{motion},{at.clock:%d%m%y},,,{at.mode}"]


def _vtg(at: Moment) -> list[str]:
    if not at.fix:
        return ["VTG,,T,,M,,N,,K,N"]
    speed, course, magnetic = at.get("speed"), at.get("course") % 360, at.get("course_magnetic") % 360
    return [f"VTG,{course:.2f},T,{magnetic:.2f},M,{speed / KNOT:.3f},N,{speed * 3.6:.3f},K,{at.mode}"]


def _gsa(at: Moment) -> list[str]:
    numbers = ",".join(f"{n:02d}" if n <= at.used else "" for n in range(1, 13))
    ratios = ",".join(f"{at.get(name):.1f}" for name in ("pdop", "hdop", "vdop"))
    return [f"GSA,A,{3 if at.fix else 1},{numbers},{ratios}"]


def _gst(at: Moment) -> list[str]:
    names = (*("range_error", "ellipse_major", "ellipse_minor", "ellipse_orientation"), "lat_error", "lon_error")
    return [f"GST,{at.time}," + at.filled(",".join(f"{at.get(name):.1f}" for name in (*names, "altitude_error")))]


def _zda(at: Moment) -> list[str]:
    return [f"ZDA,{at.time},{at.clock:%d,%m,%Y},00,00"]


def _gsv(at: Moment) -> list[str]:
    return _satellites(range(1, int(at.get("satellites_in_view")) + 1))


def _satellites(numbers: Sequence[int], signal: str = "") -> list[str]:
    """The group of GSV for satellites of one system, with an identifier of the signal where there is one."""
    groups = max(1, math.ceil(len(numbers) / 4))
    bodies = []
    for group in range(groups):
        listed = "".join(
            f",{n:02d},{(n * 17) % 90:02d},{(n * 53) % 360:03d},{20 + n % 30:02d}"
            for n in numbers[group * 4 : group * 4 + 4]
        )
        bodies.append(f"GSV,{groups},{group + 1},{len(numbers):02d}{listed}{',' if signal else ''}{signal}")
    return bodies


def _ths(at: Moment) -> list[str]:
    return [f"THS,{at.get('heading') % 360:.2f},A"]


def _hdt(at: Moment) -> list[str]:
    return [f"HDT,{at.get('heading') % 360:.1f},T"]


def _vhw(at: Moment) -> list[str]:
    heading, magnetic, speed = at.get("heading") % 360, at.get("heading_magnetic") % 360, at.get("water_speed")
    return [f"VHW,{heading:.1f},T,{magnetic:.1f},M,{speed / KNOT:.2f},N,{speed * 3.6:.2f},K"]


def _dbt(at: Moment) -> list[str]:
    depth = at.get("depth_below_transducer")
    return [f"DBT,{depth / 0.3048:.1f},f,{depth:.2f},M,{depth / 1.8288:.1f},F"]


def _dbk(at: Moment) -> list[str]:
    depth = at.get("depth_below_keel")
    return [f"DBK,{depth / 0.3048:.1f},f,{depth:.2f},M,{depth / 1.8288:.1f},F"]


def _dpt(at: Moment) -> list[str]:
    return [f"DPT,{at.get('depth_below_transducer'):.2f},{_TRANSDUCER_BELOW_SURFACE_M},100"]


def _mtw(at: Moment) -> list[str]:
    return [f"MTW,{at.get('water_temperature'):.1f},C"]


def _mwv(at: Moment) -> list[str]:
    return [
        f"MWV,{at.get(f'{wind}_wind_angle') % 360:.1f},{letter},{at.get(f'{wind}_wind_speed') / KNOT:.2f},N,A"
        for wind, letter in (("apparent", "R"), ("true", "T"))
    ]


_BODIES: dict[str, Callable[[Moment], list[str]]] = {
    "GGA": _gga,
    "GLL": _gll,
    "GNS": _gns,
    "GSA": _gsa,
    "GST": _gst,
    "GSV": _gsv,
    "RMC": _rmc,
    "VTG": _vtg,
    "ZDA": _zda,
    "DBK": _dbk,
    "DBT": _dbt,
    "DPT": _dpt,
    "HDT": _hdt,
    "MTW": _mtw,
    "MWV": _mwv,
    "THS": _ths,
    "VHW": _vhw,
}
PROFILES = {
    "gps": ("GP", ("GGA", "RMC", "VTG", "GSA", "GSV")),
    "gnss": ("GN", ("GNS", "RMC", "ZDA", "GST", "THS", "GSA", "GSV")),
    "vessel": ("II", ("GLL", "ZDA", "HDT", "VHW", "DBT", "DBK", "DPT", "MTW", "MWV")),
}
"""What kinds of receivers say: talker, and types of sentences in their order."""


def write(kind: str, talker: str, at: Moment) -> list[bytes]:
    """The sentences of one type, each with its checksum and CR LF."""
    if kind == "GSV" and talker == "GN":
        return [encode(body) for body in _satellites_by_signal(at)]
    return [encode(talker + body) for body in _BODIES[kind](at)]


def _satellites_by_signal(at: Moment) -> list[str]:
    """GPS with two signals, the second from half of its satellites, and GLONASS."""
    in_view = int(at.get("satellites_in_view"))
    gps = min(in_view - in_view // 3, 32)
    return [
        *("GP" + body for body in _satellites(range(1, gps + 1), "1")),
        *("GP" + body for body in _satellites(range(1, gps // 2 + 1), "8")),
        *("GL" + body for body in _satellites(range(65, 65 + in_view - gps), "1")),
    ]


def encode(body: str) -> bytes:
    """A sentence on the wire, with its checksum."""
    data = body.encode("ascii")
    return b"$%b*%02X\r\n" % (data, functools.reduce(operator.xor, data, 0))


def _angle(degrees: float, width: int, hemispheres: str) -> str:
    whole, rest = divmod(round(abs(degrees) * 60 * 100_000), 60 * 100_000)  # rounded first: 59.999996 carries over
    return f"{whole:0{width}d}{rest // 100_000:02d}.{rest % 100_000:05d},{hemispheres[degrees < 0]}"
