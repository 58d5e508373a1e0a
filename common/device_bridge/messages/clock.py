"""The time of readings: it follows the system's wall clock both ways, and says when it may be wrong.

- A clock that cannot be right, or has no source, is not trusted: a board without a battery-backed clock starts in the
  past and jumps when it first hears from a time server.
- What a running clock drifts is followed at once: up to a second, and 200 ppm of the time since it was last set, of a
  day at most.
- A larger step, either way, is followed too, but the clock is not trusted until it has kept that time for a minute,
  or has gone back. So a clock that is right again is trusted again within a minute, and one that is wrong for some
  seconds never goes out as right.

Readings taken while it was not trusted are marked. Each message waiting in the outbox keeps a mark of how the clock
stood, and is corrected before it is sent when the clock has been set meanwhile: its order is its `sequencenumber`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..clocks import Clocks

_NOT_BEFORE = 1_790_000_000.0
"""No clock that shows less than this (September 2026, when this was written) can be right."""
DRIFT_S, DRIFT_RATE = 1.0, 200e-6
"""What is followed at once: so many seconds, and so many per second. Crystals have 100 ppm at most."""
SETTLING_S = 60.0
_DAY_S = 86_400.0
_SLEWED_S = 0.1
"""More is a step, from which on the drift counts from zero."""
_TIME_ERROR = 5
"""What adjtimex(2) returns while no time server disciplines the clock."""
_BOOT_CHARACTERS = 12
_RIGHT, _DOUBT = "!", "?"


def system_clock_is_verified() -> bool:
    """Whether this system's wall clock has a source: a real-time clock, a host, or a time server."""
    if not os.uname().machine.startswith(("arm", "aarch64")) or any(Path("/sys/class/rtc").glob("rtc*")):
        return True
    import ctypes  # noqa: PLC0415 - 1 MiB that only boards without a real-time clock pay

    buffer = ctypes.create_string_buffer(512)  # struct timex, zeroed: read only
    return bool(ctypes.CDLL(None).adjtimex(buffer) != _TIME_ERROR)


class Clock:
    """Seconds since 1970-01-01 UTC.

    Parameters:
        trusted: take the system's clock for right from the start; a step is doubted all the same.
        clocks: the system's.
        verified: whether the wall clock has a source.
    """

    def __init__(
        self,
        *,
        trusted: bool = False,
        clocks: Clocks | None = None,
        verified: Callable[[], bool] = system_clock_is_verified,
    ) -> None:
        clocks = clocks or Clocks()
        self._wall, self._since_boot, self._verified = clocks.wall, clocks.since_boot, verified
        self._boot = clocks.boot.replace("-", "")[:_BOOT_CHARACTERS]
        self._has_source = trusted
        self._set_at = self._since_boot()
        self._offset_s = self._settled_s = self._wall() - self._set_at
        self._is_settled = True
        self._mark = ""
        self.right_mark = ""
        """The mark of a time of now, which needs no correction; "" while the clock is not trusted."""
        self._renew_mark()
        self.check()

    @property
    def trusted(self) -> bool:
        """Whether the time is taken for right."""
        self.stamp()
        return self._is_trusted

    @property
    def _is_trusted(self) -> bool:
        return self._has_source and self._is_settled

    def now(self) -> float:
        """The present time, as well as it is known."""
        return self.stamp()[0]

    def check(self) -> None:
        """Looks whether the clock has a source meanwhile."""
        time, _ = self.stamp()
        if not self._has_source and time >= _NOT_BEFORE and self._verified():
            self._has_source = self._is_settled = True
            self._settled_s = self._offset_s
            self._renew_mark()

    def stamp(self) -> tuple[float, str]:
        """The present time, and a mark of how the clock stands, to be kept beside it."""
        now = self._since_boot()
        time = self._wall()
        if not self._is_settled or not -_SLEWED_S < time - now - self._offset_s < _SLEWED_S:
            self._follow(now, time - now)
        return time, self._mark

    def correction_s(self, mark: str, taken_at: float) -> float | None:
        """Seconds to add to a time with this mark; None while that is not known.

        A time of another boot stays as it is: nothing tells how far its clock was off. One that was taken for right
        is corrected by more than a drift only.

        Parameters:
            mark: as it was given with the time.
            taken_at: seconds since boot at that time.
        """
        boot, offset, in_doubt = _parse(mark)
        if boot != self._boot or not self.trusted:
            return None if in_doubt else 0.0
        difference = self._offset_s - offset
        if not in_doubt and abs(difference) <= _drift(self._since_boot() - taken_at):
            return 0.0
        return difference

    def _follow(self, now: float, offset: float) -> None:
        """Takes up what the wall clock shows now."""
        step_s, is_settled = abs(offset - self._offset_s), self._is_settled
        if step_s > _drift(min(now - self._set_at, _DAY_S)):
            is_settled = abs(offset - self._settled_s) <= _drift(_DAY_S)  # it has gone back
            self._set_at = now
        else:
            is_settled = is_settled or now - self._set_at >= SETTLING_S
            if is_settled and step_s > _SLEWED_S:
                self._set_at = now
        self._offset_s, self._is_settled = offset, is_settled
        if is_settled:
            self._settled_s = offset
        self._renew_mark()

    def _renew_mark(self) -> None:
        self._mark = f"{self._boot}:{self._offset_s:.3f}{_RIGHT if self._is_trusted else _DOUBT}"
        self.right_mark = self._mark if self._is_trusted else ""


def is_in_doubt(mark: str) -> bool:
    """Whether the clock was not trusted when this mark was made; version 0.1.0 made none of other times."""
    return not mark.endswith(_RIGHT)


def _parse(mark: str) -> tuple[str, float, bool]:
    """Boot, offset, whether it was in doubt; a mark that is none is of an unknown boot."""
    boot, _, offset = mark.rstrip(_RIGHT + _DOUBT).rpartition(":")
    try:
        return boot.replace("-", "")[:_BOOT_CHARACTERS], float(offset), is_in_doubt(mark)
    except ValueError:
        return "", 0.0, is_in_doubt(mark)


def _drift(elapsed_s: float) -> float:
    return DRIFT_S + DRIFT_RATE * max(0.0, elapsed_s)
