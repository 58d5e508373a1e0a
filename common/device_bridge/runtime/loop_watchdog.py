"""Notices that the event loop stands still: something waits or computes where it must not.

A selector looks from inside, which wakes nothing: the loop works from one wait for events to the next. A thread says
where it stands meanwhile. A container's health check looks from outside: it compares the seconds since boot that
`beat` writes to a file with `/proc/uptime`. A file in memory (`/dev/shm`) wears no flash, and a shell reads it in a
millisecond, where an HTTP request would start an interpreter on a small board every time.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from ..clocks import monotonic, since_boot
from ..telemetry.metrics import Metric

log = logging.getLogger("device_bridge")

INTERVAL_S = 10.0
STALL_S = 1.0
"""Seconds without a turn of the loop that are reported."""
_LOOK_S = 10.0
_SECOND_LOOK_S = 0.2
_FRAMES = 4


class LoopWatchdog:
    """Counts how often the loop that it makes stands still, and says where while it does.

    Parameters:
        clock: seconds that never step.
        look_s: seconds between two looks of its thread.
    """

    def __init__(self, clock: Callable[[], float] = monotonic, look_s: float = _LOOK_S) -> None:
        self._clock, self._look_s = clock, look_s
        self._busy_since: float | None = None
        self._loop_thread = threading.get_ident()
        self._stop = threading.Event()
        self._where = ""
        self.stalls = 0
        """How often the loop has stood still."""
        self.stalled_s = 0.0
        """For how long, in all."""

    def new_loop(self) -> asyncio.SelectorEventLoop:
        """The loop that is watched."""
        return asyncio.SelectorEventLoop(_WatchedSelector(self._waits, self._works))

    def start(self) -> None:
        """Begins; called on the loop."""
        self._loop_thread = threading.get_ident()
        threading.Thread(target=self._watch, name="loop watchdog", daemon=True).start()

    def stop(self) -> None:
        """Ends."""
        self._stop.set()

    def metrics(self) -> Iterator[Metric]:
        """For `/metrics`."""
        text = "How often the event loop stood still for more than a second."
        yield Metric("bridge_loop_stalls_total", "counter", text, self.stalls)
        yield Metric("bridge_loop_stalled_seconds_total", "counter", "For how long, in all.", self.stalled_s)

    def _works(self) -> None:
        self._busy_since = self._clock()

    def _waits(self) -> None:
        busy_since, self._busy_since = self._busy_since, None
        if busy_since is None or (stalled_s := self._clock() - busy_since) < STALL_S:
            return
        self.stalls += 1
        self.stalled_s += stalled_s
        log.warning("the event loop stood still for %.1f s%s", stalled_s, self._where)
        self._where = ""

    def _watch(self) -> None:
        seen = reported = None
        while not self._stop.wait(self._look_s if seen is None else _SECOND_LOOK_S):
            busy_since = self._busy_since
            if busy_since is None or busy_since == reported or self._clock() - busy_since < STALL_S:
                seen = None
            elif busy_since != seen:  # seen twice, so that a process that was stopped as a whole is not reported
                seen = busy_since
            else:
                seen, reported = None, busy_since
                self._where = f", at {_place(self._loop_thread)}"
                log.error("the event loop stands still%s", self._where)


class _WatchedSelector(selectors.DefaultSelector):
    """Says when the loop begins to wait for events, and when it goes on."""

    def __init__(self, waits: Callable[[], None], works: Callable[[], None]) -> None:
        super().__init__()
        self._waits, self._works = waits, works

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._waits()
        try:
            return super().select(timeout)
        finally:
            self._works()


def _place(thread: int) -> str:
    """Where a thread is, innermost first."""
    frame = sys._current_frames().get(thread)
    places: list[str] = []
    while frame is not None and len(places) < _FRAMES:
        code = frame.f_code
        places.append(f"{code.co_name} ({Path(code.co_filename).name}:{frame.f_lineno})")
        frame = frame.f_back
    return ", in ".join(places) or "an unknown place"


async def beat(file: Path, interval_s: float = INTERVAL_S) -> None:
    """Writes until cancelled; ends, with a warning, when the file cannot be written."""
    while True:
        try:
            file.write_text(f"{int(since_boot())}\n")
        except OSError as error:
            log.warning(
                "no heartbeat for health checks: HEARTBEAT_FILE %s: %s; name a file in memory that may be written",
                file,
                error.strerror,
            )
            return
        await asyncio.sleep(interval_s)
