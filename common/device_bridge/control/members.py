"""Several devices behind one service: each fails, backs off and comes back alone."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from iofog_sdk import Backoff

from ..errors import DeviceError, DeviceErrorKind
from ..reading import Quantity, Reading, Sample
from .merge import Put
from .ticker import Ticker

log = logging.getLogger("device_bridge")

_NOT_REPEATED = (DeviceErrorKind.NOT_FOUND, DeviceErrorKind.PERMISSION, DeviceErrorKind.BUSY)
"""Asking again at once would give the same answer."""


class Member:
    """One unit on a line, one chip on a bus, one line of a chip.

    When it fails, its quantities are reported bad once; it is tried again with back-off, and a warning is logged
    once. Its waiting times begin again when it has worked for longer than the last of them.

    Parameters:
        label: in logs and metrics.
        quantities: what it measures.
        retry_s: seconds before the first new attempt.
        max_retry_s: seconds between attempts at one that has failed for long.
    """

    def __init__(
        self, label: str, quantities: Sequence[Quantity], *, retry_s: float = 0.5, max_retry_s: float = 60.0
    ) -> None:
        self.label, self.quantities = label, tuple(quantities)
        self.reason = ""
        """Why it is not usable; "" while it is."""
        self.failures = 0
        self.counters: Counter[str] = Counter()
        """Counts worth exporting, exported with its label."""
        self._backoff = Backoff(retry_s, max(retry_s, max_retry_s))
        self._wait_s = self._retry_at = self._recovered_at = 0.0

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt failed."""
        return self.reason != ""

    @property
    def retry_in_s(self) -> float:
        """Seconds until it may be tried again; 0 while it works."""
        return max(0.0, self._retry_at - asyncio.get_running_loop().time()) if self.is_failing else 0.0

    def bad(self, reason: str) -> list[Reading]:
        """Everything it measures, without a value."""
        return [quantity.bad(reason) for quantity in self.quantities]

    def fail(self, reason: str) -> Sample:
        """Takes note of a failed attempt; returns what to report: all bad at first, nothing from then on."""
        now = asyncio.get_running_loop().time()
        self.failures += 1
        just_failed = not self.is_failing
        if just_failed and now - self._recovered_at > self._wait_s:
            self._backoff.reset()
        self.reason, self._wait_s = reason, self._backoff.next_s()
        self._retry_at = now + self._wait_s
        if not just_failed:
            return ()
        log.warning("%s: %s; it is tried again, the others go on", self.label, reason)
        return self.bad(reason)

    def recover(self) -> None:
        """Takes note of a successful attempt."""
        if self.is_failing:
            log.info("%s works again", self.label)
            self.reason = ""
            self._recovered_at = asyncio.get_running_loop().time()

    async def attempt(
        self,
        measure: Callable[[], Awaitable[Sample]],
        *,
        attempts: int = 1,
        fatal: Sequence[DeviceErrorKind] = (DeviceErrorKind.GONE,),
    ) -> Sample:
        """Its readings; all bad when it has just failed, none while it goes on failing.

        Parameters:
            measure: takes them; raises DeviceError.
            attempts: while it works; one that is failing gets a single one.
            fatal: kinds of errors of what all members share, which are raised.
        """
        for left in range(0 if self.is_failing else attempts - 1, -1, -1):
            try:
                sample = await measure()
            except DeviceError as error:
                if error.kind in fatal:
                    raise
                if not left or error.kind in _NOT_REPEATED:
                    return self.fail(f"{error.kind.value}: {error.detail}")
            else:
                self.recover()
                return sample
        raise AssertionError("unreachable")

    async def poll(
        self,
        measure: Callable[[], Awaitable[Sample]],
        put: Put,
        interval_s: float,
        *,
        attempts: int = 1,
        delay_s: float = 0.0,
    ) -> None:
        """Measures at an interval, until cancelled.

        Parameters:
            measure, attempts: as for `attempt`.
            put: takes the samples.
            interval_s: from one measurement to the next.
            delay_s: once, after the first, so that members take turns.
        """
        ticker = Ticker(interval_s)
        while True:
            if sample := await self.attempt(measure, attempts=attempts):
                await put(sample)
            if self.is_failing:
                await asyncio.sleep(self.retry_in_s)
                ticker.restart()
            else:
                await ticker.wait(delay_s)
                delay_s = 0.0

    async def keep(self, watch: Callable[[Put], Awaitable[None]], put: Put) -> None:
        """Runs what watches it, again after each failure with back-off, until cancelled.

        Parameters:
            watch: reports by the function it is given, whose first call counts as recovery; raises DeviceError.
            put: takes the samples.
        """

        async def working(sample: Sample) -> None:
            self.recover()
            await put(sample)

        while True:
            try:
                await watch(working)
                reason = "it has ended"
            except DeviceError as error:
                reason = f"{error.kind.value}: {error.detail}"
            if sample := self.fail(reason):
                await put(sample)
            await asyncio.sleep(self.retry_in_s)
