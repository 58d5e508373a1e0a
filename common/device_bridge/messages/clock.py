"""Wall time that never steps backwards within a run, and knows whether it can be trusted.

A board without a battery-backed clock starts in the past and jumps when it first hears from a time server. Readings
taken before that are marked, and corrected before they are sent if the jump comes first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

_NOT_BEFORE = 1_790_000_000.0
"""No clock that shows less than this (September 2026, when this was written) can be right."""
_STEP_S = 1.0
"""A smaller difference is left alone: kernels slew it away."""
_TIME_ERROR = 5
"""What adjtimex(2) returns while no time server disciplines the clock."""


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)  # goes on during suspend, never steps


def system_clock_is_verified() -> bool:
    """Whether this system's wall clock has a source: a real-time clock, a host, or a time server."""
    if not os.uname().machine.startswith(("arm", "aarch64")) or any(Path("/sys/class/rtc").glob("rtc*")):
        return True
    import ctypes  # noqa: PLC0415 - 1 MiB that only boards without a real-time clock pay

    buffer = ctypes.create_string_buffer(512)  # struct timex, zeroed: read only
    return bool(ctypes.CDLL(None).adjtimex(buffer) != _TIME_ERROR)


class Clock:
    """Seconds since 1970-01-01 UTC: time since boot plus an offset.

    Parameters:
        trusted: take the system's clock for right from the start.
        wall: the system's wall clock.
        since_boot: a clock that never steps, common to all processes of one boot.
        verified: whether the wall clock has a source.
        boot: names this boot.
    """

    def __init__(
        self,
        *,
        trusted: bool = False,
        wall: Callable[[], float] = time.time,
        since_boot: Callable[[], float] = _since_boot,
        verified: Callable[[], bool] = system_clock_is_verified,
        boot: str | None = None,
    ) -> None:
        self._wall, self._since_boot, self._verified = wall, since_boot, verified
        self._boot = boot if boot is not None else _boot_id()
        self._offset_s = wall() - since_boot()
        self.trusted = trusted
        self.check()

    def now(self) -> float:
        """The present wall time, as well as it is known."""
        return self._since_boot() + self._offset_s

    def check(self) -> None:
        """Looks at the system's clock again: it may have become right, or been set forwards.

        Once trusted, a step backwards is not followed in this run: later readings would come before earlier ones.
        """
        wall = self._wall()
        if not self.trusted:
            self.trusted = wall >= _NOT_BEFORE and self._verified()
            self._offset_s = wall - self._since_boot()
        elif wall - self.now() > _STEP_S:
            self._offset_s = wall - self._since_boot()

    @property
    def mark(self) -> str:
        """Kept beside a time so that it can be corrected later; "" when it is right."""
        return "" if self.trusted else f"{self._boot}:{self._offset_s!r}"

    def correction_s(self, mark: str) -> float | None:
        """Seconds to add to a time with this mark; None while that is not known."""
        boot, _, offset = mark.rpartition(":")
        if not self.trusted or boot != self._boot:
            return None
        return self._offset_s - float(offset)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"process-{time.time_ns()}"
