"""What happens to readings between device and outbox: a chain of small filters, in the order of the settings.

Only good, finite numbers are filtered. A reading of any other quality always passes, and so does the next good one
after it: a change of quality is never held back. What a filter holds back is counted as dropped for the reason
`filtered`.
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeAlias

import msgspec
from msgspec import Meta

from .reading import Quality, Reading, is_finite
from .settings.base import Settings

_MAX_NAMES = 1000
Count = Annotated[int, Meta(ge=2, le=1000, description="readings looked at")]


class FilterSettings(Settings, frozen=True, kw_only=True, tag_field="type"):
    """One filter, for one quantity or for all; `start` makes one with empty state."""

    quantity: Annotated[str, Meta(description="which quantity; all by default")] = ""


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

    def start(self) -> Filter:
        return _Stateless(lambda value: value * self.factor + self.offset)


class Clamp(FilterSettings, frozen=True, kw_only=True, tag="clamp"):
    """Brings a value into a range."""

    low: float = float("-inf")
    high: float = float("inf")

    def start(self) -> Filter:
        return _Stateless(lambda value: min(max(value, self.low), self.high))


class Deadband(FilterSettings, frozen=True, kw_only=True, tag="deadband"):
    """Holds back what differs too little from the last that passed, for a heartbeat at most."""

    renamed: ClassVar[Mapping[str, str]] = {"heartbeat_s": "heartbeat"}

    absolute: Annotated[float, Meta(ge=0, description="least difference, in the quantity's unit")] = 0.0
    relative: Annotated[float, Meta(ge=0, le=1, description="least difference, as a share of the last value")] = 0.0
    heartbeat: Annotated[float, Meta(gt=0, description="seconds after which an unchanged value passes")] = 60.0

    def start(self) -> Filter:
        return _Deadband(self)


class RateLimit(FilterSettings, frozen=True, kw_only=True, tag="rate_limit"):
    """Lets at most one reading pass in an interval."""

    renamed: ClassVar[Mapping[str, str]] = {"interval_s": "interval"}
    interval: Annotated[float, Meta(gt=0, description="seconds between readings at least")] = 1.0

    def start(self) -> Filter:
        return _Deadband(Deadband(absolute=float("inf"), heartbeat=self.interval))


class Median(FilterSettings, frozen=True, kw_only=True, tag="median"):
    """The median of the last readings: takes out single spikes."""

    size: Count = 5

    def start(self) -> Filter:
        return _Window(self.size, _median)


class MovingAverage(FilterSettings, frozen=True, kw_only=True, tag="moving_average"):
    """The mean of the last readings."""

    size: Count = 5

    def start(self) -> Filter:
        return _Window(self.size, lambda values: sum(values) / len(values))


class OutlierGate(FilterSettings, frozen=True, kw_only=True, tag="outlier_gate"):
    """Marks what is far from the median of the last readings as uncertain. It never holds anything back."""

    distance: Annotated[float, Meta(gt=0, description="from the median, in the quantity's unit")]
    size: Count = 5

    def start(self) -> Filter:
        return _OutlierGate(self)


AnyFilter: TypeAlias = Scale | Clamp | Deadband | RateLimit | Median | MovingAverage | OutlierGate


class FilterChain:
    """Filters in their order, each with its own state for each quantity.

    Parameters:
        settings: the filters.
    """

    def __init__(self, settings: Sequence[AnyFilter]) -> None:
        self._settings = settings
        self._filters: dict[str, list[Filter]] = {}

    def apply(self, reading: Reading, now: float) -> Reading | None:
        """The reading as it goes on; None when it is held back.

        Parameters:
            reading: the next one of its quantity.
            now: when it came, in seconds of a clock that never steps: intervals do not hang on the wall clock.
        """
        if not self._settings:
            return reading
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

    def _begin(self, name: str) -> list[Filter]:
        return [each.start() for each in self._settings if each.quantity in ("", name)]


class _Deadband(Filter):
    def __init__(self, settings: Deadband) -> None:
        self._settings = settings
        self._last: tuple[float, float] | None = None

    def apply(self, reading: Reading, now: float) -> Reading | None:
        value = float(reading.value or 0)
        if self._last is not None:
            last, at = self._last
            least, difference = max(self._settings.absolute, self._settings.relative * abs(last)), abs(value - last)
            changed = difference >= least and difference > 0
            if not changed and now - at < self._settings.heartbeat:
                return None
        self._last = value, now
        return reading


class _Window(Filter):
    def __init__(self, size: int, combine: Any) -> None:
        self._values: deque[float] = deque(maxlen=size)
        self._combine = combine

    def apply(self, reading: Reading, now: float) -> Reading | None:
        self._values.append(float(reading.value or 0))
        return msgspec.structs.replace(reading, value=self._combine(self._values))


class _OutlierGate(Filter):
    def __init__(self, settings: OutlierGate) -> None:
        self._settings = settings
        self._values: deque[float] = deque(maxlen=settings.size)

    def apply(self, reading: Reading, now: float) -> Reading | None:
        value = float(reading.value or 0)
        usual = _median(self._values) if self._values else value
        self._values.append(value)
        if abs(value - usual) <= self._settings.distance:
            return reading
        reason = f"{abs(value - usual):g} from the median of the last {self._settings.size}"
        return msgspec.structs.replace(reading, quality=Quality.UNCERTAIN, reason=reason)


def _median(values: Sequence[float]) -> float:
    """Without the statistics module, which costs a small board a megabyte."""
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
