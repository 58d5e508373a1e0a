"""A GPS receiver that moves: NMEA 0183 (version 2.3 and later) on a real tty, from a track or from a recording."""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import math
import operator
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from simulated_devices import (
    PlayedDevice,
    add_line_options,
    emulator_parser,
    line_of,
    number,
    play_until_stopped,
)

from .protocol import KNOT, QUANTITIES
from .recording import replay

EARTH_RADIUS_M = 6_371_008.8  # mean of WGS 84 (IUGG)
_CATCH_UP_S = 1.0
_LIMITS = {quantity.name: quantity.valid for quantity in QUANTITIES if quantity.valid}


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
"""A round in Hamburg's harbour, for ever."""


class GpsEmulator:
    """What a receiver would say while it moves along a track.

    Parameters:
        track: at least one waypoint, joined by great circles; after the last comes the first again.
        speed: metres per second along the track.
        talker: two letters before every sentence type.
    """

    def __init__(self, track: Sequence[Waypoint] = HARBOUR_ROUND, speed: float = 5.0, talker: str = "GP") -> None:
        if not track:
            raise ValueError("a track needs at least one waypoint")
        self._legs = [(a, b, _distance_m(a, b)) for a, b in itertools.pairwise([*track, track[0]])]
        self._length_m = sum(length for _, _, length in self._legs)
        self._speed = speed
        self._talker = talker
        self._fixed: dict[str, float] = {}

    def set(self, quantity: str, value: float | None) -> None:
        """Fixes a physical value.

        Parameters:
            quantity: name of one of the service's quantities.
            value: in the unit of that quantity; None lets it follow the track again.

        Raises KeyError for a quantity that cannot be set, ValueError for a value outside its valid range.
        """
        if quantity not in _SETTABLE:
            raise KeyError(f"{quantity}: one of {', '.join(sorted(_SETTABLE))} can be set")
        low, high = _LIMITS[quantity]
        if value is None:
            self._fixed.pop(quantity, None)
        elif low <= value <= high:
            self._fixed[quantity] = value
        else:
            raise ValueError(f"{quantity} cannot be {value}: from {low:g} to {high:g}")

    def value(self, quantity: str, elapsed_s: float) -> float:
        """What the receiver measures this many seconds after its start, in the unit of the quantity."""
        if quantity in self._fixed:
            return self._fixed[quantity]
        if quantity in _CONSTANT:
            return _CONSTANT[quantity]
        point, course = self._along(elapsed_s * self._speed)
        moving = {**point._asdict(), "course": course, "speed": self._speed if self._length_m else 0.0}
        return float(moving[quantity])

    def epoch(self, elapsed_s: float, utc: float) -> list[bytes]:
        """The sentences of one moment, each with its checksum and CR LF.

        Parameters:
            elapsed_s: seconds since the receiver started.
            utc: what its clock says, seconds since 1970-01-01.
        """
        get = functools.partial(self.value, elapsed_s=elapsed_s)
        fix = int(get("fix_quality"))
        whole_s, hundredths = divmod(int(utc * 100), 100)
        clock = time.gmtime(whole_s)
        at = time.strftime("%H%M%S", clock) + f".{hundredths:02d}"
        position = f"{_angle(get('lat'), 2, 'NS')},{_angle(get('lon'), 3, 'EW')}" if fix else ",,,"
        altitude = f"{get('altitude'):.1f},M,{get('geoid_separation'):.1f},M" if fix else ",M,,M"
        used, in_view = int(get("satellites_used")) if fix else 0, int(get("satellites_in_view"))
        speed, course = get("speed") / KNOT, get("course") % 360
        status, mode = "A" if fix else "V", _MODES[fix]
        motion = f"{speed:.3f},{course:.2f}" if fix else ","
        ids = ",".join(f"{n:02d}" if n <= used else "" for n in range(1, 13))
        vtg = f"{course:.2f},T,,M,{speed:.3f},N,{speed * KNOT * 3.6:.3f},K,{mode}" if fix else ",T,,M,,N,,K,N"
        bodies = [
            f"GGA,{at},{position},{fix},{used:02d},{get('hdop'):.1f},{altitude},,",
            f"RMC,{at},{status},{position},{motion},{time.strftime('%d%m%y', clock)},,,{mode}",
            f"VTG,{vtg}",
            f"GSA,A,{3 if fix else 1},{ids},{get('pdop'):.1f},{get('hdop'):.1f},{get('vdop'):.1f}",
            *_satellites(in_view),
        ]
        return [encode(self._talker + body) for body in bodies]

    def _along(self, distance_m: float) -> tuple[Waypoint, float]:
        left = math.fmod(distance_m, self._length_m) if self._length_m else 0.0
        for start, end, length in self._legs:
            if left < length:
                here = _along_leg(start, end, left / length)
                return here, _course_deg(here, end)
            left -= length
        return self._legs[0][0], 0.0


_CONSTANT = {
    "fix_quality": 1.0,
    "satellites_used": 9.0,
    "satellites_in_view": 12.0,
    "geoid_separation": 39.6,
    "hdop": 0.9,
    "vdop": 1.4,
    "pdop": 1.7,
}
_SETTABLE = {*_CONSTANT, "lat", "lon", "altitude", "speed", "course"}
_MODES = "NADPRFEMSD"  # of RMC and VTG, for each quality of GGA; 9 is what NovAtel gives for SBAS


def encode(body: str) -> bytes:
    """A sentence on the wire, with its checksum."""
    data = body.encode("ascii")
    return b"$%b*%02X\r\n" % (data, functools.reduce(operator.xor, data, 0))


def _angle(degrees: float, width: int, hemispheres: str) -> str:
    whole, rest = divmod(round(abs(degrees) * 60 * 100_000), 60 * 100_000)  # rounded first: 59.999996 carries over
    return f"{whole:0{width}d}{rest // 100_000:02d}.{rest % 100_000:05d},{hemispheres[degrees < 0]}"


def _satellites(in_view: int) -> list[str]:
    groups = max(1, math.ceil(in_view / 4))
    bodies = []
    for group in range(groups):
        numbers = range(group * 4 + 1, min(group * 4 + 4, in_view) + 1)
        satellites = "".join(f",{n:02d},{(n * 17) % 90:02d},{(n * 53) % 360:03d},{20 + n % 30:02d}" for n in numbers)
        bodies.append(f"GSV,{groups},{group + 1},{in_view:02d}{satellites}")
    return bodies


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


class _Receiver:
    """A receiver as a serial device: it has a schedule of its own, and does not listen.

    Parameters:
        emulator: whose physical values can be set; None for a recording.
    """

    interval_s = 0.0

    def __init__(self, emulator: GpsEmulator | None) -> None:
        self._emulator = emulator

    def set(self, quantity: str, value: float | str) -> None:
        if self._emulator is None or isinstance(value, str):
            raise ValueError(f"{quantity} = {value}: a number is needed, and no recording")
        self._emulator.set(quantity, value)

    def tick(self) -> list[bytes]:
        return []

    def receive(self, data: bytes) -> list[bytes]:
        return []


async def _run(options: argparse.Namespace, frames: Iterator[tuple[float, bytes]], receiver: _Receiver) -> None:
    with line_of(options) as (line, faults):
        played = PlayedDevice(receiver, line, faults, baud=options.baud)
        settings = {"serial": {"port": str(line.path), "baud": options.baud}}
        await play_until_stopped(settings, _play(played, frames), played)


async def _play(played: PlayedDevice, frames: Iterator[tuple[float, bytes]]) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    for delay_s, data in frames:
        # A service that did not read for long is not flooded with all of the past.
        due = max(due, loop.time() - _CATCH_UP_S) + delay_s
        await asyncio.sleep(due - loop.time())
        await played.send([data])


def _replayed(recording: bytes, options: argparse.Namespace) -> Iterator[tuple[float, bytes]]:
    for turn in itertools.count() if options.loop else range(1):
        if turn:
            yield 1 / options.replay_speed, b""
        yield from replay(recording, options.replay_speed, options.baud)


def _moving(emulator: GpsEmulator, options: argparse.Namespace) -> Iterator[tuple[float, bytes]]:
    start = time.time()
    for turn in itertools.count() if options.count is None else range(options.count):
        elapsed_s = turn / options.rate
        for index, sentence in enumerate(emulator.epoch(elapsed_s, start + elapsed_s)):
            yield (1 / options.rate if turn and not index else 0.0), sentence


def _read_track(file: Path) -> list[Waypoint]:
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


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach it, then plays until SIGTERM or SIGINT."""
    parser = emulator_parser("gps_receiver.emulator", __doc__, PlayedDevice)
    add = parser.add_argument
    add("--baud", type=number(int, 50, 4_000_000), default=9600, help="told to the service; paces what has no times")
    add("--rate", type=number(float, 0.01, 100), default=1.0, help="epochs per second (default 1)")
    add("--speed", type=number(float, 0, 10_000), default=5.0, help="metres per second along the track (default 5)")
    add("--track", type=Path, metavar="CSV", help="lines of lat,lon,altitude; default: a round in Hamburg's harbour")
    add("--count", type=number(int, 0), help="epochs to send before going silent")
    add("--replay", type=Path, metavar="FILE", help="play a recording instead")
    add("--replay-speed", type=number(float, 0.01, 1_000), default=1.0, help="times as fast as recorded (default 1)")
    add("--loop", action="store_true", help="play the recording again and again")
    add_line_options(parser, "sentences")
    options = parser.parse_args(arguments)
    try:
        emulator = None
        if options.replay:
            frames = _replayed(options.replay.read_bytes(), options)
        else:
            track = _read_track(options.track) if options.track else HARBOUR_ROUND
            emulator = GpsEmulator(track, options.speed)
            frames = _moving(emulator, options)
        asyncio.run(_run(options, frames, _Receiver(emulator)))
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
