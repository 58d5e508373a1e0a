"""A GPS receiver that moves: NMEA 0183 on a real tty, from a track or from a recording."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from simulated_devices import (
    PlayedDevice,
    add_line_options,
    emulator_parser,
    line_of,
    number,
    play_until_stopped,
)

from .emulated_sentences import PROFILES, Moment, encode, write
from .protocol import QUANTITIES
from .recording import replay
from .track import EARTH_RADIUS_M, HARBOUR_ROUND, Track, Waypoint, read_track

__all__ = ["EARTH_RADIUS_M", "GpsEmulator", "Waypoint", "encode"]

_CATCH_UP_S = 1.0
_LIMITS = {quantity.name: quantity.valid for quantity in QUANTITIES if quantity.valid}


class GpsEmulator:
    """What a receiver would say while it moves along a track.

    Parameters:
        track: at least one waypoint, joined by great circles; after the last comes the first again.
        speed: metres per second along the track.
        talker: two letters before every sentence type; those of the profile by default.
        profile: which sentences it sends, one of PROFILES.
    """

    def __init__(
        self,
        track: Sequence[Waypoint] = HARBOUR_ROUND,
        speed: float = 5.0,
        talker: str = "",
        profile: str = "gps",
    ) -> None:
        self._track = Track(track)
        self._speed = speed
        usual_talker, self._sentences = PROFILES[profile]
        self._talker = talker or usual_talker
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
        point, course = self._track.along(elapsed_s * self._speed)
        speed = self._speed if self._track.length_m else 0.0
        courses = {"course": course, "course_magnetic": course - _VARIATION_DEG, "heading": course}
        moving = {**point._asdict(), **courses, "speed": speed}
        return float(moving[quantity])

    def epoch(self, elapsed_s: float, utc: float) -> list[bytes]:
        """The sentences of one moment, each with its checksum and CR LF.

        Parameters:
            elapsed_s: seconds since the receiver started.
            utc: what its clock says, seconds since 1970-01-01.
        """
        moment = Moment(lambda quantity: self.value(quantity, elapsed_s), utc)
        return [sentence for kind in self._sentences for sentence in write(kind, self._talker, moment)]


_VARIATION_DEG = 3.6
"""By which compasses point east of north."""
_CONSTANT = {
    "fix_quality": 1.0,
    "satellites_used": 9.0,
    "satellites_in_view": 12.0,
    "geoid_separation": 39.6,
    "hdop": 0.9,
    "vdop": 1.4,
    "pdop": 1.7,
    "range_error": 5.2,
    "ellipse_major": 2.1,
    "ellipse_minor": 1.4,
    "ellipse_orientation": 62.0,
    "lat_error": 1.8,
    "lon_error": 1.6,
    "altitude_error": 3.1,
    "heading_magnetic": 105.0,
    "water_speed": 4.8,
    "water_temperature": 14.5,
    "depth_below_transducer": 5.4,
    "depth_below_keel": 4.9,
    "apparent_wind_angle": 42.0,
    "apparent_wind_speed": 9.3,
    "true_wind_angle": 71.0,
    "true_wind_speed": 6.6,
}
_SETTABLE = {*_CONSTANT, "lat", "lon", "altitude", "speed", "course", "course_magnetic", "heading"}


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


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach it, then plays until SIGTERM or SIGINT."""
    parser = emulator_parser("gps_receiver.emulator", __doc__, PlayedDevice)
    add = parser.add_argument
    add("--baud", type=number(int, 50, 4_000_000), default=9600, help="of the line; paces recordings without times")
    add("--rate", type=number(float, 0.01, 100), default=1.0, help="epochs per second (default 1)")
    add("--speed", type=number(float, 0, 10_000), default=5.0, help="metres per second along the track (default 5)")
    add("--track", type=Path, metavar="CSV", help="lines of lat,lon,altitude; default: a round in Hamburg's harbour")
    add(
        "--profile",
        choices=PROFILES,
        default="gps",
        help="which sentences: of a GPS receiver (default), of a GNSS "
        "receiver for several systems with a compass, or of a vessel's instruments",
    )
    add("--count", type=number(int, 0), help="epochs to send before going silent")
    add("--replay", type=Path, metavar="FILE", help="play a recording instead")
    add(
        "--replay-speed",
        type=number(float, 0.01, 1_000),
        default=1.0,
        help="speed relative to the recording (default 1)",
    )
    add("--loop", action="store_true", help="play the recording again and again")
    add_line_options(parser, "sentences")
    options = parser.parse_args(arguments)
    try:
        emulator = None
        if options.replay:
            frames = _replayed(options.replay.read_bytes(), options)
        else:
            track = read_track(options.track) if options.track else HARBOUR_ROUND
            emulator = GpsEmulator(track, options.speed, profile=options.profile)
            frames = _moving(emulator, options)
        asyncio.run(_run(options, frames, _Receiver(emulator)))
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
