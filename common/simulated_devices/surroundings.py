"""What an emulated sensor measures: physical values that are set, or drift gently around a typical one. No I/O."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

Clock = Callable[[], float]

_PERIOD_S = 190.0


class Surroundings:
    """Physical values by quantity.

    Parameters:
        typical: what each drifts around, in its unit.
        limits: the lowest and highest value that the device can measure, where there are such.
        drift: share of the typical value.
        clock: seconds.
    """

    def __init__(
        self,
        typical: Mapping[str, float],
        limits: Mapping[str, tuple[float, float]] | None = None,
        *,
        drift: float = 0.02,
        clock: Clock = time.monotonic,
    ) -> None:
        self._typical, self._limits, self._drift, self._clock = dict(typical), dict(limits or {}), drift, clock
        self._fixed: dict[str, float] = {}

    def set(self, quantity: str, value: float | str) -> None:
        """Fixes a value. Raises KeyError for an unknown quantity, ValueError for one the device cannot measure."""
        value = float(value)
        if quantity not in self._typical:
            raise KeyError(f"{quantity} (known are {', '.join(self._typical)})")
        low, high = self._limits.get(quantity, (-math.inf, math.inf))
        if not low <= value <= high:
            raise ValueError(f"{quantity} {value:g}: the device can measure {low:g} to {high:g}")
        self._fixed[quantity] = value

    def fix(self) -> None:
        """Fixes all values where they are."""
        for quantity in self._typical:
            self._fixed[quantity] = self.value(quantity)

    def value(self, quantity: str) -> float:
        """The value now."""
        if quantity in self._fixed:
            return self._fixed[quantity]
        swing = self._drift * math.sin(self._clock() * 2 * math.pi / _PERIOD_S + len(quantity))
        return self._typical[quantity] * (1 + swing)
