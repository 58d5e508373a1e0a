"""A source and its quantities as they are now."""

from __future__ import annotations

from array import array
from collections import deque
from math import isnan, nan

from device_bridge import Quality, Reading, Value
from device_bridge.messages import Announcement

from .accounts import Account

TRAIL_POINTS = 40
TRAIL_STEP_S = 1.0
POSITION_UNITS = frozenset(("lat", "lon"))
_TRACK_POINTS = 200
_TRACK_STEP_S = 2.0
_INTERVALS = 3.0
_UNKNOWN_INTERVALS = 4.0
_FORGET = 0.8
_CLOCK_BACK_S = 5.0
"""A sender's clock that goes back by more begins its last minutes again."""


class Pulse:
    """When something comes, and when it should have come again.

    Parameters:
        last: seconds since 1970, of the last time; 0.0 for never.
        interval: usual seconds between two times, 0.0 when it is not known yet.
    """

    __slots__ = ("interval", "last")

    def __init__(self, last: float = 0.0, interval: float = 0.0) -> None:
        self.last, self.interval = last, interval

    def beat(self, now: float, timeout_s: float) -> None:
        """It has come: the longest of the last intervals counts, but an outage is no interval."""
        if now - self.last > timeout_s and self.interval and self.is_overdue(now, timeout_s):
            self.interval *= 2  # or a new interval, which is learned so
        elif self.last:
            self.interval = max(now - self.last, _FORGET * self.interval)
        self.last = now

    def is_overdue(self, now: float, timeout_s: float) -> bool:
        """Whether it is missing."""
        limit = _INTERVALS * self.interval if self.interval else _UNKNOWN_INTERVALS * timeout_s
        return now - self.last > max(timeout_s, limit)


class Trail:
    """The last minutes of one quantity, at most one point a second."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers = array("d")  # time and value in turn: a tenth of the memory of tuples

    def add(self, time: float, value: float) -> None:
        """One point; `nan` where there was no usable value."""
        numbers = self._numbers
        if numbers and time < numbers[-2] - _CLOCK_BACK_S:
            del numbers[:]
        if numbers and time - numbers[-2] < TRAIL_STEP_S:
            numbers[-1] = value
            return
        numbers.append(time)
        numbers.append(value)
        if len(numbers) > 2 * TRAIL_POINTS:
            del numbers[:2]

    def points(self) -> list[tuple[float, float | None]]:
        """Times and values; None where there was no usable one."""
        numbers = self._numbers
        return [
            (round(numbers[at], 2), None if isnan(numbers[at + 1]) else numbers[at + 1])
            for at in range(0, len(numbers), 2)
        ]


class LiveQuantity:
    """The latest reading of one quantity of one source, and its last minutes.

    Parameters:
        id: of the quantity, for frames and the history.
        name: within its source.
    """

    __slots__ = ("id", "name", "pulse", "quality", "reason", "revision", "time", "trail", "unit", "value")

    def __init__(self, id: int, name: str) -> None:  # noqa: A002 - its name everywhere else
        self.id, self.name = id, name
        self.unit, self.reason = "", ""
        self.value: Value | None = None
        self.quality, self.time, self.revision = Quality.BAD, 0.0, 0
        self.pulse = Pulse()
        self.trail = Trail()

    def take(self, reading: Reading, revision: int) -> None:
        """The latest reading."""
        self.value, self.unit = reading.value, reading.unit or self.unit
        self.quality, self.reason, self.time = reading.quality, reading.reason, reading.time
        self.revision = revision
        self._extend_trail(reading)

    def mark_overdue(self, revision: int) -> None:
        """Nothing comes any more: what is shown is the last known value."""
        self.quality, self.reason, self.revision = Quality.STALE, "nothing received any more", revision

    def _extend_trail(self, reading: Reading) -> None:
        value = reading.value
        if isinstance(value, str):
            return
        usable = value is not None and reading.quality in (Quality.GOOD, Quality.UNCERTAIN)
        self.trail.add(reading.time, float(value) if usable and value is not None else nan)


class Source:
    """One device, or whatever names its readings alike.

    Parameters:
        id: for frames.
        publisher: the microservice, "" when the link does not say.
        name: base name of its readings, without the final separator.
        account: of its sender; sources of one sender share it.
    """

    __slots__ = (
        *("account", "announcement", "failing", "heard", "id", "name", "publisher", "pulse"),
        *("quantities", "revision", "silent", "since", "track"),
    )

    def __init__(self, id: int, publisher: str, name: str, account: Account) -> None:  # noqa: A002
        self.id, self.publisher, self.name, self.account = id, publisher, name, account
        self.quantities: dict[str, LiveQuantity] = {}
        self.announcement: Announcement | None = None
        self.heard = False
        """Whether anything has come since the dashboard started."""
        self.failing, self.silent = "", False
        """Why its device is gone; whether nothing comes from it any more."""
        self.pulse = Pulse()
        self.since, self.revision = 0.0, 0
        self.track: deque[tuple[float, float, float]] = deque(maxlen=_TRACK_POINTS)
        """Times, latitudes and longitudes in degrees."""

    @property
    def position(self) -> tuple[LiveQuantity, LiveQuantity] | None:
        """Its latitude and longitude, if it measures them."""
        lat = next((one for one in self.quantities.values() if one.unit == "lat"), None)
        lon = next((one for one in self.quantities.values() if one.unit == "lon"), None)
        return (lat, lon) if lat and lon else None

    def extend_track(self) -> bool:
        """Notes where it is; false when nothing is new."""
        if (position := self.position) is None:
            return False
        lat, lon = position
        if lat.quality is not Quality.GOOD or lon.quality is not Quality.GOOD:
            return False
        if not isinstance(lat.value, int | float) or not isinstance(lon.value, int | float):
            return False
        point = (lat.time, float(lat.value), float(lon.value))
        if abs(point[1]) > 90 or abs(point[2]) > 180:
            return False
        if self.track and (point[1:] == self.track[-1][1:] or point[0] - self.track[-1][0] < _TRACK_STEP_S):
            return False
        self.track.append(point)
        return True
