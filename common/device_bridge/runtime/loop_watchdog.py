"""Notices that the event loop stands still: something waits or computes where it must not.

A thread looks from inside. A container's health check looks from outside: it compares the seconds since boot that
`beat` writes to a file with `/proc/uptime`. A file in memory (`/dev/shm`) wears no flash, and a shell reads it in a
millisecond, where an HTTP request would start an interpreter on a small board every time.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from ..clocks import monotonic, since_boot
from ..control.heartbeat import Heartbeat
from ..telemetry.metrics import Metric

log = logging.getLogger("device_bridge")

INTERVAL_S = 10.0
_BEAT_S = 0.5
STALL_S = 1.0
"""Seconds without a turn of the loop that are reported."""
_FRAMES = 4


class LoopWatchdog:
    """A thread that looks whether the loop turns, and says where it stands while it does not.

    Parameters:
        clock: seconds that never step.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._heartbeat = Heartbeat(self._beat, _BEAT_S)
        self._beat_at = clock()
        self._loop_thread = threading.get_ident()
        self._stop = threading.Event()
        self._where = ""
        self.stalls = 0
        """How often the loop has stood still."""
        self.stalled_s = 0.0
        """For how long, in all."""

    def start(self) -> None:
        """Begins; called on the loop."""
        self._beat_at, self._loop_thread = self._clock(), threading.get_ident()
        self._heartbeat.start()
        threading.Thread(target=self._watch, name="loop watchdog", daemon=True).start()

    def stop(self) -> None:
        """Ends."""
        self._heartbeat.stop()
        self._stop.set()

    def metrics(self) -> Iterator[Metric]:
        """For `/metrics`."""
        text = "How often the event loop stood still for more than a second."
        yield Metric("bridge_loop_stalls_total", "counter", text, self.stalls)
        yield Metric("bridge_loop_stalled_seconds_total", "counter", "For how long, in all.", self.stalled_s)

    def _beat(self) -> None:
        before, self._beat_at = self._beat_at, self._clock()
        stalled_s = self._beat_at - before - _BEAT_S
        if stalled_s >= STALL_S:
            self.stalls += 1
            self.stalled_s += stalled_s
            log.warning("the event loop stood still for %.1f s%s", stalled_s, self._where)
        self._where = ""

    def _watch(self) -> None:
        reported = seen = 0.0
        while not self._stop.wait(_BEAT_S):
            beat_at = self._beat_at
            # Seen twice, so that a process which was stopped as a whole is not taken for one whose loop stands.
            if self._clock() - beat_at > STALL_S and beat_at == seen != reported:
                reported = beat_at
                self._where = f", at {_place(self._loop_thread)}"
                log.error("the event loop stands still%s", self._where)
            seen = beat_at


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
