"""A GPS receiver that moves: NMEA 0183 on a real tty, from a track or from a recording."""

from __future__ import annotations

import argparse
import asyncio
import csv
import functools
import itertools
import json
import math
import operator
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from simulated_devices import SerialFaults, SimulatedSerialLine

from .protocol import KNOT

EARTH_RADIUS_M = 6_371_000.0
_BITS_PER_BYTE = 10
"""Start bit, eight data bits, stop bit."""


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
"""A round in Hamburg's harbour, walked for ever."""


class GpsEmulator:
    """What a receiver would say while it moves along a track.

    `set` fixes a physical value, in the unit of the quantity of the same name, until it is set to None.

    Parameters:
        track: at least one waypoint; after the last comes the first again.
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
        """Fixes a value; None lets it follow the track again."""
        if quantity not in _SETTABLE:
            raise KeyError(f"{quantity}: one of {', '.join(sorted(_SETTABLE))} can be set")
        if value is None:
            self._fixed.pop(quantity, None)
        else:
            self._fixed[quantity] = value

    def value(self, quantity: str, elapsed_s: float) -> float:
        """What the receiver measures this long after its start."""
        if quantity in self._fixed:
            return self._fixed[quantity]
        if quantity in _CONSTANT:
            return _CONSTANT[quantity]
        point, course = self._along(elapsed_s * self._speed)
        moving = {"course": course, "speed": self._speed if self._length_m else 0.0}
        return moving[quantity] if quantity in moving else float(getattr(point, quantity))

    def epoch(self, elapsed_s: float, utc: float) -> list[bytes]:
        """The sentences of one moment, each with its checksum and CR LF.

        Parameters:
            elapsed_s: seconds since the receiver started.
            utc: what its clock says, seconds since 1970-01-01.
        """
        get = functools.partial(self.value, elapsed_s=elapsed_s)
        fix = int(get("fix_quality"))
        clock = time.gmtime(utc)
        at = time.strftime("%H%M%S", clock) + f".{int(utc * 100) % 100:02d}"
        position = f"{_angle(get('lat'), 2, 'NS')},{_angle(get('lon'), 3, 'EW')}" if fix else ",,,"
        altitude = f"{get('altitude'):.1f},M,{get('geoid_separation'):.1f},M" if fix else ",M,,M"
        used, in_view = int(get("satellites_used")) if fix else 0, int(get("satellites_in_view"))
        speed, course = get("speed") / KNOT, get("course") % 360
        status, mode = ("A", "A") if fix else ("V", "N")
        motion = f"{speed:.3f},{course:.2f}" if fix else ","
        ids = ",".join(f"{n:02d}" if n <= used else "" for n in range(1, 13))
        vtg = f"{course:.2f},T,,M,{speed:.3f},N,{speed * KNOT * 3.6:.3f},K,A" if fix else ",T,,M,,N,,K,N"
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
            if left <= length and length:
                share = left / length
                middle = (a + (b - a) * share for a, b in zip(start, end, strict=True))
                return Waypoint(*middle), _course_deg(start, end)
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


def encode(body: str) -> bytes:
    """A sentence on the wire: `$`, body, `*`, checksum, CR LF."""
    data = body.encode("ascii")
    return b"$%b*%02X\r\n" % (data, functools.reduce(operator.xor, data, 0))


def _angle(degrees: float, width: int, hemispheres: str) -> str:
    minutes = round(abs(degrees) * 60 * 100_000)  # in units of the last digit, so that 59.999996 carries over
    whole, rest = divmod(minutes, 60 * 100_000)
    letter = hemispheres[1] if degrees < 0 else hemispheres[0]
    return f"{whole:0{width}d}{rest // 100_000:02d}.{rest % 100_000:05d},{letter}"


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


def _course_deg(a: Waypoint, b: Waypoint) -> float:
    lat_a, lat_b, lon = math.radians(a.lat), math.radians(b.lat), math.radians(b.lon - a.lon)
    east = math.sin(lon) * math.cos(lat_b)
    north = math.cos(lat_a) * math.sin(lat_b) - math.sin(lat_a) * math.cos(lat_b) * math.cos(lon)
    return math.degrees(math.atan2(east, north)) % 360


_TIME_FIELD = re.compile(rb"\$..(?:GGA|RMC),(\d{2})(\d{2})(\d{2}(?:\.\d+)?),")


def replay(recording: bytes, speed: float = 1.0, baud: int = 9600) -> Iterator[tuple[float, bytes]]:
    """A recording with its own timing: seconds to wait, then the bytes to send, every byte of it.

    Lines wait for the receiver's own clock (the time field of GGA and RMC); a recording without one is paced by
    the baud rate.

    Parameters:
        recording: the bytes as a receiver sent them.
        speed: 1 for as recorded, 100 for a hundred times as fast.
        baud: bits per second, for a recording without times.
    """
    last: float | None = None
    timed = _TIME_FIELD.search(recording) is not None
    for line in recording.splitlines(keepends=True):
        delay_s = 0.0
        match = _TIME_FIELD.search(line)
        if match:
            now = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
            if last is not None:
                delay_s = (now - last) % 86_400
                if delay_s > 43_200:  # a clock that went back
                    delay_s = 0.0
            last = now
        elif not timed:
            delay_s = len(line) * _BITS_PER_BYTE / baud
        yield delay_s / speed, line


async def _run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="gps-") as folder:
        link = options.link or Path(folder) / "ttyGPS"
        with SimulatedSerialLine(link) as line:
            settings = {"serial": {"port": str(link), "baud": options.baud}}
            print(json.dumps({"settings": settings}), flush=True)
            playing = asyncio.ensure_future(_play(line, options))
            await asyncio.wait((playing, asyncio.ensure_future(stop.wait())), return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                playing.result()
                await stop.wait()
            playing.cancel()


async def _play(line: SimulatedSerialLine, options: argparse.Namespace) -> None:
    faults = SerialFaults(corrupt=options.corrupt, seed=options.seed)
    loop = asyncio.get_running_loop()
    due = loop.time()
    for delay_s, data in _replayed(options) if options.replay else _moving(options):
        due += delay_s
        await asyncio.sleep(due - loop.time())
        await line.send(faults.apply(data))


def _replayed(options: argparse.Namespace) -> Iterator[tuple[float, bytes]]:
    recording = options.replay.read_bytes()
    for _ in itertools.count() if options.loop else range(1):
        yield from replay(recording, options.replay_speed, options.baud)


def _moving(options: argparse.Namespace) -> Iterator[tuple[float, bytes]]:
    emulator = GpsEmulator(_read_track(options.track) if options.track else HARBOUR_ROUND, options.speed)
    start = time.time()
    for number in itertools.count() if options.count is None else range(options.count):
        elapsed_s = number / options.rate
        for index, sentence in enumerate(emulator.epoch(elapsed_s, start + elapsed_s)):
            yield (1 / options.rate if number and not index else 0.0), sentence


def _read_track(file: Path) -> list[Waypoint]:
    with file.open(newline="") as stream:
        return [Waypoint(*map(float, row)) for row in csv.reader(stream) if row and not row[0].startswith("#")]


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value


def _existing(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text} is not a file")
    return Path(text)


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach it, then plays until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m gps_receiver.emulator", description=(__doc__ or "").strip())
    add = parser.add_argument
    add("--link", type=Path, help="path of the tty to make; by default one in a folder of its own")
    add("--baud", type=int, default=9600, help="said to the service, and the pace of a recording without times")
    add("--rate", type=_positive, default=1.0, help="epochs per second (default 1)")
    add("--speed", type=float, default=5.0, help="metres per second along the track (default 5)")
    add("--track", type=_existing, metavar="CSV", help="lines of lat,lon,altitude; default: a harbour round")
    add("--count", type=int, help="epochs to send before going silent")
    add("--replay", type=_existing, metavar="FILE", help="play a recording instead")
    add("--replay-speed", type=_positive, default=1.0, help="1 to 100 times as fast as recorded")
    add("--loop", action="store_true", help="play the recording again and again")
    add("--corrupt", type=_share, default=0.0, help="share of sentences with one damaged byte")
    add("--seed", type=int, default=1, help="repeats the same damage")
    try:
        asyncio.run(_run(parser.parse_args(arguments)))
    except (OSError, ValueError, TypeError) as error:
        sys.exit(f"gps_receiver.emulator: {error}")


if __name__ == "__main__":
    main()
