"""Reads an open device: what it sends by itself, what it is asked for, and how long it has been silent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from ..clocks import monotonic
from ..control.ticker import Ticker
from ..declared import DeclaredQuantities
from ..errors import DeviceError, DeviceErrorKind
from ..reading import Forwarded, Quantity, Sample
from ..service import DeviceService
from .life_cycle import Event
from .staleness import Staleness


class Reader:
    """Takes the samples of one instance of a service after another.

    Parameters:
        quantities: what samples are held against.
        emit: takes each sample.
        wait_room: returns when another sample may be read.
        has_room: whether that is now.
        report: called with the first sample, of silence, and of the first sample after it.
    """

    def __init__(
        self,
        quantities: Sequence[Quantity],
        emit: Callable[[Sample | Forwarded], None],
        wait_room: Callable[[], Awaitable[None]],
        has_room: Callable[[], bool],
        report: Callable[[Event], None],
    ) -> None:
        self.declared = DeclaredQuantities(quantities)
        self._earlier_violations = 0
        self.emit, self._report = emit, report
        self._wait_room, self._has_room = wait_room, has_room
        self.staleness = Staleness()
        self._waiting_for_room = 0
        self._stale_after_changed = asyncio.Event()
        self._service: DeviceService[Any] | None = None
        self._is_heard = False
        self._now: Callable[[], float] = monotonic

    @property
    def undeclared(self) -> int:
        """Readings that were not as they were declared."""
        return self._earlier_violations + self.declared.violations

    def declare(self, quantities: Sequence[Quantity]) -> None:
        """Holds samples against these quantities from now on."""
        self._earlier_violations, self.declared = self.undeclared, DeclaredQuantities(quantities)

    def mark_stale_after(self, stale_after_s: float) -> None:
        """Values are stale after so many seconds, 0 for never."""
        if stale_after_s != self.staleness.after_s:
            if not self.staleness.after_s:
                self.staleness.restart(self._now())
            self.staleness.after_s = stale_after_s
            self._stale_after_changed.set()

    def work(self, service: DeviceService[Any]) -> list[Coroutine[Any, Any, None]]:
        """What is to run while this instance is open; none of it ends but by an error."""
        self._service, self._is_heard = service, False
        self._now = asyncio.get_running_loop().time
        self.staleness.restart(self._now())
        polls = [self._poll(service, name, interval_field) for name, interval_field in service.polls()]
        return [self._watch_staleness(), *([self._stream(service)] if service.streams() else []), *polls]

    async def _stream(self, service: DeviceService[Any]) -> None:
        samples = service.stream()
        try:
            async for sample in samples:
                self._take(service, sample)
                if not self._has_room():
                    await self._room()
        finally:
            if (close := getattr(samples, "aclose", None)) is not None:
                await close()
        raise DeviceError(DeviceErrorKind.GONE, service.name(), "the stream of samples ended")

    async def _poll(self, service: DeviceService[Any], method: str, interval_field: str) -> None:
        ticker = Ticker(getattr(service.settings, interval_field))
        while True:
            self._take(service, await getattr(service, method)())
            if not self._has_room():
                await self._room()
            await ticker.wait()

    async def _room(self) -> None:
        began_at = self._now()
        self._waiting_for_room += 1
        try:
            await self._wait_room()
        finally:
            self._waiting_for_room -= 1
        self.staleness.held_back(began_at, self._now())

    async def _watch_staleness(self) -> None:
        while True:
            self._stale_after_changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.staleness.next_check_s(self._now())):
                    await self._stale_after_changed.wait()
            if self._waiting_for_room:
                continue  # nothing is read: that is not the device's silence
            if stale := self.staleness.newly_stale(self._now()):
                self.emit(stale)
            if self.staleness.is_silent(self._now()):
                self._is_heard = False
                self._report(Event.SILENCE)

    def _take(self, service: DeviceService[Any], sample: Sample | Forwarded) -> None:
        if not sample:
            return
        if service is not self._service:  # it could not be cancelled and goes on for a while
            self.emit(sample if isinstance(sample, Forwarded) else self.declared.check(sample))
            return
        if not self._is_heard:
            self._is_heard = True
            self._report(Event.SAMPLE)
        if not isinstance(sample, Forwarded):
            sample = heard = self.declared.check(sample)
        else:
            heard = () if isinstance(sample.content, bytes) else sample.content
            self.declared.heard(heard)
        if self.staleness.after_s:
            self.staleness.heard(self._now(), heard)
        self.emit(sample)
