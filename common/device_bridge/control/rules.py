"""Rules on the node: readings of this process that switch outputs, link or no link. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

from msgspec import Meta

from ..errors import SettingsError
from ..reading import Quality, Reading, Value, is_finite
from ..settings.base import Settings


class RuleSettings(Settings, frozen=True, kw_only=True):
    """One reading and one output: a threshold with hysteresis, or a state."""

    reading: Annotated[str, Meta(min_length=1, max_length=100, description="name of the reading")]
    output: Annotated[str, Meta(min_length=1, max_length=100, description="name of the output")]
    on_above: Annotated[float | None, Meta(description="on from here; off again at or below `off_below`")] = None
    off_below: float | None = None
    on_below: Annotated[float | None, Meta(description="on from here down; off again at or above `off_above`")] = None
    off_above: float | None = None
    on_when: Annotated[Value | None, Meta(description="on while the reading is this, off otherwise")] = None


class Rules:
    """All rules of a service.

    Parameters:
        settings: each of them.

    Raises SettingsError for a rule with no condition, or with two.
    """

    def __init__(self, settings: Sequence[RuleSettings]) -> None:
        self._by_reading: dict[str, list[RuleSettings]] = {}
        self._last: dict[str, bool | None] = {}
        for rule in settings:
            _check(rule)
            if rule.output in self._last:
                remedy = "Keep one rule for each output."
                raise SettingsError("rules.output", rule.output, "is used by two rules", remedy)
            self._by_reading.setdefault(rule.reading, []).append(rule)
            self._last[rule.output] = None
        self.readings = frozenset(self._by_reading)
        self.outputs = frozenset(self._last)

    def feed(self, readings: Iterable[Reading]) -> Iterator[tuple[str, bool | None]]:
        """New decisions for outputs: on, off, or None for the safe state, as the reading is bad."""
        for reading in readings:
            for rule in self._by_reading.get(reading.name, ()):
                before = self._last[rule.output]
                wanted = _wanted(rule, reading, before)
                if wanted is not before or wanted is None:
                    self._last[rule.output] = wanted
                    yield rule.output, wanted


def _wanted(rule: RuleSettings, reading: Reading, before: bool | None) -> bool | None:
    value = reading.value
    if value is None or reading.quality in (Quality.BAD, Quality.STALE):
        return None
    if rule.on_when is not None:
        return bool(value == rule.on_when)
    if isinstance(value, str) or not is_finite(value):
        return None
    if rule.on_above is not None and rule.off_below is not None:
        return _hysteresis(value, rule.on_above, rule.off_below, before)
    if rule.on_below is not None and rule.off_above is not None:
        return _hysteresis(-value, -rule.on_below, -rule.off_above, before)
    return None


def _hysteresis(value: float, on_from: float, off_to: float, before: bool | None) -> bool:
    if value >= on_from:
        return True
    return bool(before) and value > off_to


def _check(rule: RuleSettings) -> None:
    above = (rule.on_above, rule.off_below)
    below = (rule.on_below, rule.off_above)
    given = [any(part is not None for part in pair) for pair in (above, below, (rule.on_when,))]
    remedy = "Write on_above and off_below, or on_below and off_above, or on_when."
    if sum(given) != 1:
        raise SettingsError("rules", rule.output, "has no condition, or several", remedy)
    pair = above if given[0] else below
    if given[2]:
        return
    if None in pair:
        raise SettingsError("rules", rule.output, "has only one of its two thresholds", remedy)
    high, low = (above[0], above[1]) if given[0] else (below[1], below[0])
    if high is not None and low is not None and high < low:
        raise SettingsError("rules", rule.output, f"has its thresholds crossed, {low:g} and {high:g}", remedy)
