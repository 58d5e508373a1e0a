"""What happens to readings between device and outbox: a chain of small filters, in the order of the settings.

Values that repeat after a period, as directions and longitudes, are compared and averaged on their circle: the mean
of 350 and 10 degrees is 0. Only good, finite numbers are filtered. A reading of any other quality always passes, and
so does the next good one after it: a change of quality is never held back. What a filter holds back is counted as
dropped for the reason `filtered`.
"""

from __future__ import annotations

import abc
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta

from .reading import Quality, Quantity, Reading, is_finite, scaled
from .settings.base import Settings

_MAX_NAMES = 1000
_NO_DIRECTION = 1e-9
"""Of a mean vector's length: values spread evenly around the circle have no mean direction."""
_ROUND_OFF = 1e-12
"""Of a value: 21.7 - 21.6 is a little less than 0.1."""
Count = Annotated[int, Meta(ge=2, le=1000, description="readings looked at")]


class Scope(NamedTuple):
    """The values that a quantity can have, as far as filters need to know.

    Parameters:
        period: after which they repeat; 0 for never.
        least: the first value of a period.
    """

    period: float = 0.0
    least: float = 0.0

    def difference(self, one: float, other: float) -> float:
        """How far apart two values are, the shorter way round."""
        apart = abs(one - other)
        return min(apart % self.period, -apart % self.period) if self.period else apart

    def wrapped(self, value: float) -> float:
        """The value within the period."""
        return (value - self.least) % self.period + self.least if self.period else value

    def unrolled(self, values: Iterable[float]) -> list[float]:
        """Values that can be averaged and put in order: all within half a period of their mean direction."""
        values = list(values)
        if not self.period:
            return values
        turn = math.tau / self.period
        east, north = (sum(part(value * turn) for value in values) for part in (math.cos, math.sin))
        has_direction = math.hypot(east, north) > _NO_DIRECTION * len(values)
        middle = math.atan2(north, east) / turn if has_direction else values[-1]
        return [value - self.period * round((value - middle) / self.period) for value in values]


class FilterSettings(Settings, frozen=True, kw_only=True, tag_field="type"):
    """One filter, for one quantity or for all; `start` makes one with empty state."""

    quantity: Annotated[str, Meta(description="which quantity; all by default")] = ""

    def scope_after(self, scope: Scope) -> Scope:
        """The values that come out, of those that go in."""
        return scope


class Filter(abc.ABC):
    """The state of one filter for one quantity."""

    @abc.abstractmethod
    def apply(self, reading: Reading, now: float) -> Reading | None:
        """The reading as it goes on; None when it is held back.

        Parameters:
            reading: good, and a number.
            now: seconds of a clock that never steps.
        """


class _Stateless(Filter):
    def __init__(self, change: Any) -> None:
        self._change = change

    def apply(self, reading: Reading, now: float) -> Reading | None:
        return msgspec.structs.replace(reading, value=self._change(reading.value))


class Scale(FilterSettings, frozen=True, kw_only=True, tag="scale"):
    """value * factor + offset."""

    factor: float = 1.0
    offset: float = 0.0

    def scope_after(self, scope: Scope) -> Scope:
        return Scope(scope.period * abs(self.factor), scope.least * self.factor)

    def start(self, scope: Scope) -> Filter:
        wrapped = self.scope_after(scope).wrapped
        return _Stateless(lambda value: wrapped(scaled(value, self.factor, self.offset)))


class Clamp(FilterSettings, frozen=True, kw_only=True, tag="clamp"):
    """Brings a value into a range."""

    low: float = float("-inf")
    high: float = float("inf")

    def start(self, scope: Scope) -> Filter:
        return _Stateless(lambda value: min(max(value, self.low), self.high))


class Deadband(FilterSettings, frozen=True, kw_only=True, tag="deadband"):
    """Holds back what differs too little from the last that passed, for a heartbeat at most."""

    renamed: ClassVar[Mapping[str, str]] = {"heartbeat_s": "heartbeat"}

    absolute: Annotated[float, Meta(ge=0, description="least difference, in the quantity's unit")] = 0.0
    relative: Annotated[float, Meta(ge=0, le=1, description="least difference, as a share of the last value")] = 0.0
    heartbeat: Annotated[float, Meta(gt=0, description="seconds after which an unchanged value passes")] = 60.0

    def start(self, scope: Scope) -> Filter:
        return _Deadband(self, scope)


class RateLimit(FilterSettings, frozen=True, kw_only=True, tag="rate_limit"):
    """Lets at most one reading pass in an interval."""

    renamed: ClassVar[Mapping[str, str]] = {"interval_s": "interval"}
    interval: Annotated[float, Meta(gt=0, description="seconds between readings at least")] = 1.0

    def start(self, scope: Scope) -> Filter:
        return _Deadband(Deadband(absolute=float("inf"), heartbeat=self.interval), scope)


class Median(FilterSettings, frozen=True, kw_only=True, tag="median"):
    """The median of the last readings: takes out single spikes."""

    size: Count = 5

    def start(self, scope: Scope) -> Filter:
        return _Window(self.size, _median, scope)


class MovingAverage(FilterSettings, frozen=True, kw_only=True, tag="moving_average"):
    """The mean of the last readings."""

    size: Count = 5

    def start(self, scope: Scope) -> Filter:
        return _Window(self.size, lambda values: sum(values) / len(values), scope)


class OutlierGate(FilterSettings, frozen=True, kw_only=True, tag="outlier_gate"):
    """Marks what is far from the median of the last readings as uncertain. It never holds anything back."""

    distance: Annotated[float, Meta(gt=0, description="from the median, in the quantity's unit")]
    size: Count = 5

    def start(self, scope: Scope) -> Filter:
        return _OutlierGate(self, scope)


AnyFilter: TypeAlias = Scale | Clamp | Deadband | RateLimit | Median | MovingAverage | OutlierGate


class FilterChain:
    """Filters in their order, each with its own state for each quantity.

    Parameters:
        settings: the filters.
        quantities: that are filtered, as far as they are declared: those with a `period` lie on a circle.
    """

    def __init__(self, settings: Sequence[AnyFilter], quantities: Sequence[Quantity] = ()) -> None:
        self._settings = settings
        self._scopes = {each.name: Scope(each.period, each.valid[0] if each.valid else 0.0) for each in quantities}
        self._filters: dict[str, list[Filter]] = {}

    def apply(self, reading: Reading, now: float) -> Reading | None:
        """The reading as it goes on; None when it is held back.

        Parameters:
            reading: the next one of its quantity.
            now: when it came, in seconds of a clock that never steps: intervals do not hang on the wall clock.
        """
        value = reading.value
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and is_finite(value)
        if reading.quality is not Quality.GOOD or not is_number:
            self._filters.pop(reading.name, None)
            return reading
        filters = self._filters.get(reading.name)
        if filters is None:
            if len(self._filters) >= _MAX_NAMES:
                del self._filters[next(iter(self._filters))]
            filters = self._filters[reading.name] = self._begin(reading.name)
        passing = reading
        for at, each in enumerate(filters, 1):
            passed = each.apply(passing, now)
            if passed is None:
                return None
            passing = passed
            if passing.quality is not Quality.GOOD:  # marked just now: the filters behind begin again
                filters[at:] = self._begin(reading.name)[at:]
                break
        return passing

    def apply_to_all(self, sample: list[Reading], now: float) -> list[Reading]:
        """Of readings taken together those that go on."""
        if not self._settings:
            return sample
        return [kept for reading in sample if (kept := self.apply(reading, now)) is not None]

    def _begin(self, name: str) -> list[Filter]:
        scope, filters = self._scopes.get(name, Scope()), []
        for each in self._settings:
            if each.quantity in ("", name):
                filters.append(each.start(scope))
                scope = each.scope_after(scope)
        return filters


class _Deadband(Filter):
    def __init__(self, settings: Deadband, scope: Scope) -> None:
        self._settings, self._scope = settings, scope
        self._last: tuple[float, float] | None = None

    def apply(self, reading: Reading, now: float) -> Reading | None:
        value = float(reading.value or 0)
        if self._last is not None:
            last, at = self._last
            least = max(self._settings.absolute, self._settings.relative * abs(last))
            difference = self._scope.difference(value, last)
            changed = difference >= least - _ROUND_OFF * max(abs(value), abs(last)) and difference > 0
            if not changed and now - at < self._settings.heartbeat:
                return None
        self._last = value, now
        return reading


class _Window(Filter):
    def __init__(self, size: int, combine: Callable[[Sequence[float]], float], scope: Scope) -> None:
        self._values: deque[float] = deque(maxlen=size)
        self._combine, self._scope = combine, scope

    def apply(self, reading: Reading, now: float) -> Reading | None:
        self._values.append(float(reading.value or 0))
        return msgspec.structs.replace(
            reading, value=self._scope.wrapped(self._combine(self._scope.unrolled(self._values)))
        )


class _OutlierGate(Filter):
    def __init__(self, settings: OutlierGate, scope: Scope) -> None:
        self._settings, self._scope = settings, scope
        self._values: deque[float] = deque(maxlen=settings.size)

    def apply(self, reading: Reading, now: float) -> Reading | None:
        value = float(reading.value or 0)
        usual = _median(self._scope.unrolled(self._values)) if self._values else value
        self._values.append(value)
        distance = self._scope.difference(value, usual)
        if distance <= self._settings.distance + _ROUND_OFF * max(abs(value), abs(usual)):
            return reading
        reason = f"{distance:g} from the median of the last {self._settings.size}"
        return msgspec.structs.replace(reading, quality=Quality.UNCERTAIN, reason=reason)


def _median(values: Sequence[float]) -> float:
    """Without the statistics module, which costs a small board a megabyte."""
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
