"""The first thing that samples of one among several services go through: none is to flood what all share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ..outbox.share import AnyOutbox
from ..reading import Forwarded, Reading, Sample, aged
from ..runtime.hosting import Put

TOO_FAST = "faster than max_rate"
"""Why readings are dropped here."""
_BURST_S = 2.0
_MAX_HELD = 1000
"""Quantities of which the latest waits for its turn."""
_LEAST_BURST = 10.0


class RateLimit:
    """Lets so many samples a second pass; of what comes faster the latest reading of each quantity, a little later.

    So the last state of a device always arrives, however fast it changed before. Content that is no readings is
    dropped whole when it comes too fast.

    Parameters:
        rate: samples a second; two seconds' worth may come at once.
        put: takes samples.
        outbox: counts what is dropped, and says when there is room.
        hear: gets every sample, before anything is left out.
    """

    def __init__(self, rate: float, put: Put, outbox: AnyOutbox, hear: Callable[[Sequence[Reading]], None]) -> None:
        self._put, self._outbox, self._hear = put, outbox, hear
        self.rate = rate
        self._tokens = self._burst
        loop = asyncio.get_running_loop()
        self._now, self._call_later = loop.time, loop.call_later
        self._since = self._now()
        self._held: dict[str, tuple[Reading, float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def _burst(self) -> float:
        return max(_LEAST_BURST, _BURST_S * self.rate)

    def put(self, sample: Sample | Forwarded) -> None:
        """Takes a sample."""
        readings = sample.content if isinstance(sample, Forwarded) else sample
        if not isinstance(readings, bytes):
            self._hear(readings)
        now = self._refill()
        if self._tokens >= 1 and not self._held:
            self._tokens -= 1
            self._put(sample)
        elif isinstance(sample, Forwarded):
            self._outbox.refuse(1 if isinstance(sample.content, bytes) else len(sample.content), TOO_FAST)
        else:
            self._hold(sample, now)

    def has_room(self) -> bool:
        """Whether the next sample may be read now."""
        return not self._held and self._outbox.has_room()

    async def wait_room(self) -> None:
        """Returns when the next sample may be read; while too much comes, others have their turn first."""
        if self._held:
            await asyncio.sleep(0)
        await self._outbox.wait_room()

    def close(self) -> None:
        """Passes on what is held back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._release()

    def _hold(self, sample: Sample, now: float) -> None:
        for reading in sample:
            is_known = reading.name in self._held
            if is_known or len(self._held) >= _MAX_HELD:
                self._outbox.refuse(1, TOO_FAST)
            if is_known or len(self._held) < _MAX_HELD:
                self._held[reading.name] = reading, now
        if self._timer is None:
            self._timer = self._call_later(max(0.0, 1 - self._tokens) / self.rate, self._end_timer)

    def _end_timer(self) -> None:
        self._timer = None
        self._refill()
        self._tokens -= 1
        self._release()

    def _refill(self) -> float:
        now = self._now()
        self._tokens = min(self._burst, self._tokens + (now - self._since) * self.rate)
        self._since = now
        return now

    def _release(self) -> None:
        held, self._held = list(self._held.values()), {}
        now = self._now()
        if held:
            self._put([one for reading, at in held for one in aged([reading], now - at)])
