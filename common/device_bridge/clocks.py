"""Which clock is for what; nothing else in this package reads one.

| for | clock | because |
|---|---|---|
| durations and time limits within this process | `monotonic`, or the event loop's own | never steps |
| ages that outlive the process | `since_boot`, with `boot` | never steps, goes on in suspend, is the same for all |
| times that others read | `wall`; of readings `messages.Clock`, which follows it | is what the world calls time |
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

monotonic = time.monotonic
monotonic_ns = time.monotonic_ns
wall = time.time
_EPOCH = datetime(1970, 1, 1)
since_boot: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""Seconds since the system was started, suspend included."""


def read_boot_id() -> str:
    """Names this boot; a new name for each process where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"process-{time.time_ns()}"


@dataclass(frozen=True)
class Clocks:
    """What keeps times that outlive a process is given these.

    Parameters:
        wall: seconds since 1970-01-01 UTC, as the system has them.
        since_boot: seconds since the system was started.
        boot: names this boot.
    """

    wall: Callable[[], float] = wall
    since_boot: Callable[[], float] = since_boot
    boot: str = field(default_factory=read_boot_id)


def utc_text(seconds: float) -> str:
    """A time as `2038-01-19T03:14:08`: also where the C library's times end in 2038 (32-bit ARM on Debian 12)."""
    return (_EPOCH + timedelta(seconds=int(seconds))).isoformat()
