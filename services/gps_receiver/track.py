"""A track on the earth's sphere: great circles between waypoints."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

EARTH_RADIUS_M = 6_371_008.8  # mean of WGS 84 (IUGG)


class Waypoint(NamedTuple):
    """A point of a track: degrees, degrees, metres above mean sea level."""

    lat: float
    lon: float
    altitude: float = 0.0


HARBOUR_ROUND = (
    Waypoint(53.544990, 9.966870, 5.0),
    Waypoint(53.541540, 9.984130, 4.0),
    Waypoint(53.538300, 9.995500, 4.0),
    Waypoint(53.541300, 10.001600, 6.0),
    Waypoint(53.546300, 9.987300, 9.0),
)
"""A round in Hamburg's harbour."""


class Track:
    """A round trip.

    Parameters:
        waypoints: at least one, joined by great circles; after the last comes the first again.
    """

    def __init__(self, waypoints: Sequence[Waypoint]) -> None:
        if not waypoints:
            raise ValueError("a track needs at least one waypoint")
        self._legs = [(a, b, _distance_m(a, b)) for a, b in itertools.pairwise([*waypoints, waypoints[0]])]
        self.length_m = sum(length for _, _, length in self._legs)

    def along(self, distance_m: float) -> tuple[Waypoint, float]:
        """Where one is after this distance, and the course there in degrees."""
        left = math.fmod(distance_m, self.length_m) if self.length_m else 0.0
        for start, end, length in self._legs:
            if left < length:
                here = _along_leg(start, end, left / length)
                return here, _course_deg(here, end)
            left -= length
        return self._legs[0][0], 0.0


def read_track(file: Path) -> list[Waypoint]:
    """The waypoints of a file with lines of `lat,lon,altitude`. Raises ValueError naming file and line."""
    track = []
    for at, line in enumerate(file.read_text().splitlines(), 1):
        try:
            point = Waypoint(*map(float, line.split(",")))
        except (ValueError, TypeError):
            point = Waypoint(math.inf, math.inf)
        if abs(point.lat) <= 90 and abs(point.lon) <= 180 and abs(point.altitude) < math.inf:
            track.append(point)
        elif line.strip() and not line.startswith("#"):
            raise ValueError(f"{file}, line {at}: {line!r} is not lat,lon,altitude")
    return track


def _distance_m(a: Waypoint, b: Waypoint) -> float:
    lat_a, lat_b = math.radians(a.lat), math.radians(b.lat)
    half_lat, half_lon = (lat_b - lat_a) / 2, math.radians(b.lon - a.lon) / 2
    chord = math.sin(half_lat) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(chord))


def _along_leg(a: Waypoint, b: Waypoint, share: float) -> Waypoint:
    """The point after this share of the great circle from a to b."""
    angle = _distance_m(a, b) / EARTH_RADIUS_M
    x = y = z = 0.0
    for point, weight in ((a, math.sin((1 - share) * angle)), (b, math.sin(share * angle))):
        lat, lon = math.radians(point.lat), math.radians(point.lon)
        x += weight * math.cos(lat) * math.cos(lon)
        y += weight * math.cos(lat) * math.sin(lon)
        z += weight * math.sin(lat)
    altitude = a.altitude + (b.altitude - a.altitude) * share
    return Waypoint(math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x)), altitude)


def _course_deg(a: Waypoint, b: Waypoint) -> float:
    lat_a, lat_b, lon = math.radians(a.lat), math.radians(b.lat), math.radians(b.lon - a.lon)
    east = math.sin(lon) * math.cos(lat_b)
    north = math.cos(lat_a) * math.sin(lat_b) - math.sin(lat_a) * math.cos(lat_b) * math.cos(lon)
    return math.degrees(math.atan2(east, north)) % 360
