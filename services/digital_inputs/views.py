"""What an input makes of the edges of its line. No I/O: each is fed, and asked for what is to be reported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from device_bridge import Sample
from device_bridge.buses import EdgeBatch
from device_bridge.control import Debounce, Totals

from .edges import RISING, DutyMeter, Quadrature, RateMeter

if TYPE_CHECKING:
    from .kinds import Contact, Counter, Encoder, Frequency

FALLING = 2
_S = 1e9


class Start(NamedTuple):
    """How things are when a line is taken into use.

    Parameters:
        values: of the lines, a bit each.
        now_ns: the time.
        totals: of counters.
        first_offset: of the first line.
        tells_both: whether rising and falling edges are reported.
        settle_s: how long a level has to last, where the kernel does not see to that.
    """

    values: int
    now_ns: int
    totals: Totals
    first_offset: int = 0
    tells_both: bool = True
    settle_s: float = 0.0


class View(Protocol):
    """One input's view of a line."""

    @property
    def resyncs(self) -> int:
        """How often a look found another state than edges had reported, or one that they could not have led to."""

    @property
    def due_ns(self) -> float:
        """When it has something to report at the latest."""

    def feed(self, batch: EdgeBatch, now_ns: int) -> Iterable[Sample]:
        """Takes edges; what they are to be reported as at once."""

    def look(self, values: int, now_ns: int, *, lost: bool) -> None:
        """The values as they are now; `lost` when edges were dropped before."""

    def report(self, now_ns: int) -> Sample:
        """What is to be reported now, if anything."""


class _Schedule:
    """When a view reports next."""

    def __init__(self, interval_s: float, first_ns: float) -> None:
        self._interval_ns = interval_s * _S
        self.due_ns = first_ns

    def is_due(self, now_ns: int) -> bool:
        """Whether it is time; then the next time is set."""
        if now_ns < self.due_ns:
            return False
        self.due_ns = max(self.due_ns + self._interval_ns, now_ns)
        return True


class ContactView:
    """The state of a contact."""

    def __init__(self, settings: Contact, start: Start) -> None:
        (self._quantity,) = settings.quantities()
        self._debounce = Debounce(start.values & 1, start.settle_s)
        self._reported: int | None = None
        self._heartbeat_ns, self._repeat_ns = settings.heartbeat * _S, float(start.now_ns)
        self.resyncs = 0

    @property
    def due_ns(self) -> float:
        return min(self._repeat_ns, self._debounce.settles_at * _S)

    def feed(self, batch: EdgeBatch, now_ns: int) -> Iterable[Sample]:
        """Each change, with the time of its edge."""
        changes = []
        for time_ns, kind, *_ in batch:
            self._debounce.update(int(kind == RISING), time_ns / _S)
            if self._debounce.levels != self._reported:
                self._reported = self._debounce.levels
                ago_s = max(0.0, (now_ns - time_ns) / _S)
                changes.append([self._quantity.good(bool(self._reported), time=-ago_s)])
        return changes

    def look(self, values: int, now_ns: int, *, lost: bool) -> None:
        self.resyncs += values & 1 != self._debounce.seen
        self._debounce.update(values & 1, now_ns / _S)

    def report(self, now_ns: int) -> Sample:
        level = self._debounce.update(self._debounce.seen, now_ns / _S)
        if level == self._reported and now_ns < self._repeat_ns:
            return ()
        self._reported, self._repeat_ns = level, now_ns + self._heartbeat_ns
        return [self._quantity.good(bool(level))]


class CounterView:
    """Pulses: total and rate. Edges that the kernel had to drop count too, for it numbers them all."""

    def __init__(self, settings: Counter, start: Start) -> None:
        self._settings, self._totals = settings, start.totals
        _, self._rate = settings.quantities()
        self._counts_all = settings.edges == "both" or not start.tells_both
        self._kind = FALLING if settings.edges == "falling" else RISING
        self._meter = RateMeter(settings.standstill, start.now_ns)
        self._schedule = _Schedule(settings.interval, start.now_ns)
        self.resyncs = 0

    @property
    def due_ns(self) -> float:
        return self._schedule.due_ns

    def feed(self, batch: EdgeBatch, now_ns: int) -> Iterable[Sample]:
        """Counts."""
        if self._counts_all:
            count, dropped, first_ns, last_ns = len(batch), batch.lost, batch.first_ns, batch.last_ns
        else:
            times = [time_ns for time_ns, kind, *_ in batch if kind == self._kind]
            count, dropped = len(times), batch.lost_of(self._kind)
            first_ns, last_ns = (times[0], times[-1]) if times else (batch.first_ns,) * 2
        if not count:  # the last one dropped was just before an edge of the other kind
            count, dropped = (1, dropped - 1) if dropped else (0, 0)
        if count:
            self._meter.feed(first_ns, last_ns, count, dropped)
            self._totals.add(self._settings.name, count + dropped)
        return ()

    def look(self, values: int, now_ns: int, *, lost: bool) -> None:
        """Edges alone are counted."""

    def report(self, now_ns: int) -> Sample:
        if not self._schedule.is_due(now_ns):
            return ()
        readings = [self._settings.total(self._totals)]
        if (rate := self._meter.report(now_ns)) is not None:
            readings.append(self._rate.good(rate * self._settings.per_pulse * self._settings.rate_scale))
        return readings


class FrequencyView:
    """A signal: its frequency, and the share of the time that it is on."""

    def __init__(self, settings: Frequency, start: Start) -> None:
        self._frequency, self._duty = settings.quantities()
        self._rises = RateMeter(settings.standstill, start.now_ns)
        self._level = DutyMeter(bool(start.values & 1), start.now_ns)
        self._schedule = _Schedule(settings.interval, start.now_ns + settings.interval * _S)
        self.resyncs = 0

    @property
    def due_ns(self) -> float:
        return self._schedule.due_ns

    def feed(self, batch: EdgeBatch, now_ns: int) -> Iterable[Sample]:
        """Measures by the kernel's own times."""
        dropped = batch.lost_of(RISING)
        is_after_gap = bool(batch.lost)
        for time_ns, kind, *_ in batch:
            self._level.feed(time_ns, kind == RISING, dropped=is_after_gap)
            is_after_gap = False
            if kind == RISING:
                self._rises.feed(time_ns, time_ns, 1, dropped)
                dropped = 0
        if dropped:
            self._rises.feed(batch.first_ns, batch.first_ns, 1, dropped - 1)
        return ()

    def look(self, values: int, now_ns: int, *, lost: bool) -> None:
        self._level.look(bool(values & 1), now_ns)

    def report(self, now_ns: int) -> Sample:
        if not self._schedule.is_due(now_ns):
            return ()
        hertz, duty = self._rises.report(now_ns), self._level.report(now_ns)
        readings = [] if hertz is None else [self._frequency.good(hertz)]
        return readings if duty is None else [*readings, self._duty.good(duty)]


class EncoderView:
    """An encoder: position and speed."""

    def __init__(self, settings: Encoder, start: Start) -> None:
        self._settings, self._totals = settings, start.totals
        _, self._speed = settings.quantities()
        self._quadrature = Quadrature(start.first_offset, start.values)
        self._schedule = _Schedule(settings.interval, start.now_ns)
        self._before, self._before_ns = 0, 0
        self._missed = self._unclear_before = 0

    @property
    def resyncs(self) -> int:
        return self._quadrature.errors

    @property
    def due_ns(self) -> float:
        return self._schedule.due_ns

    def feed(self, batch: EdgeBatch, now_ns: int) -> Iterable[Sample]:
        """Follows both lines in the order of their edges."""
        before = self._quadrature.position
        for _, kind, offset, *_ in batch:
            self._quadrature.feed(kind, offset)
        self._count(self._quadrature.position - before, batch.lost)
        return ()

    def look(self, values: int, now_ns: int, *, lost: bool) -> None:
        if lost:
            before = self._quadrature.position
            self._quadrature.look(values)
            self._count(self._quadrature.position - before)

    def _count(self, steps: int, missed: int = 0) -> None:
        self._totals.add(self._settings.name, steps)
        if missed:  # each is a step, in an unknown direction
            self._missed += missed
            self._totals.add(self._settings.missed, missed)

    def report(self, now_ns: int) -> Sample:
        if not self._schedule.is_due(now_ns):
            return ()
        position = self._quadrature.position
        readings = [self._settings.total(self._totals)]
        unclear = self._missed + self._quadrature.errors
        if self._before_ns:
            speed = (position - self._before) * self._settings.per_step * _S / (now_ns - self._before_ns)
            missed = unclear - self._unclear_before
            reason = f"{missed} steps of unknown direction were missed"
            readings.append(self._speed.uncertain(speed, reason) if missed else self._speed.good(speed))
        self._before, self._before_ns, self._unclear_before = position, now_ns, unclear
        return readings
