"""Holds readings against what the service has declared."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import msgspec

from .errors import ContractError
from .reading import Quality, Quantity, Reading, Sample

log = logging.getLogger("device_bridge")

STRICT = "DEVICE_BRIDGE_STRICT"
"""Environment variable: with `1`, as in tests, a reading that breaks the declaration is an error."""
_MAX_REPORTED = 100
MAX_NAMES = 10_000
"""Quantities that are remembered, of a service that forwards readings of others."""


class DeclaredQuantities:
    """What a service measures, as it has declared it.

    A value outside its declared range is marked uncertain. A reading that was not declared, or in another unit, is
    marked uncertain and counted; it is logged once by name.

    Parameters:
        quantities: the declaration.
    """

    def __init__(self, quantities: Sequence[Quantity]) -> None:
        self._quantities = {quantity.name: quantity for quantity in quantities}
        self._strict = os.environ.get(STRICT) == "1"
        self._reported: set[str] = set()
        self._lacking = {quantity.name for quantity in quantities if quantity.optional}
        self._forwarded: dict[str, str] = {}
        self._has_forgotten = False
        self.violations = 0
        """Readings that were not as declared."""

    def check(self, sample: Sample) -> Sample:
        """The readings as they may go on. Raises ContractError for undeclared ones in strict mode."""
        if self._lacking:
            self._lacking.difference_update(reading.name for reading in sample)
        checked = []
        for reading in sample:  # for every reading that is sent: without calls where nothing is wrong
            quantity = self._quantities.get(reading.name)
            if quantity is None or reading.unit != quantity.unit:
                checked.append(self._violation(reading, quantity))
            else:
                checked.append(reading if quantity.valid is None else quantity.judged(reading))
        return checked

    def heard(self, forwarded: Sample) -> None:
        """Takes note of readings that are forwarded, and not declared."""
        for reading in forwarded:
            self._forwarded.pop(reading.name, None)
            self._forwarded[reading.name] = reading.unit
        while len(self._forwarded) > MAX_NAMES:
            name = next(iter(self._forwarded))
            del self._forwarded[name]
            if not self._has_forgotten:
                self._has_forgotten = True
                log.warning("more than %d quantities; %s and others will not be reported lost", MAX_NAMES, name)

    def all_bad(self, reason: str) -> list[Reading]:
        """Every quantity without a value, but for optional ones that this device has never measured."""
        declared = [each.bad(reason) for name, each in self._quantities.items() if name not in self._lacking]
        return declared + [Quantity(name, unit).bad(reason) for name, unit in self._forwarded.items()]

    def _violation(self, reading: Reading, quantity: Quantity | None) -> Reading:
        if quantity is None:
            problem = f"{reading.name} is not among the declared quantities"
        else:
            units = f"{reading.unit or 'no unit'} instead of {quantity.unit or 'no unit'}"
            problem = f"{reading.name} is not in its declared unit: {units}"
        if self._strict:
            raise ContractError(f"{problem}; declare it in `quantities`, or send what is declared")
        self.violations += 1
        if reading.name not in self._reported and len(self._reported) < _MAX_REPORTED:
            self._reported.add(reading.name)
            log.error("%s; its readings are marked uncertain", problem)
        return _uncertain(reading, problem) if reading.quality is Quality.GOOD else reading


def _uncertain(reading: Reading, reason: str) -> Reading:
    return msgspec.structs.replace(reading, quality=Quality.UNCERTAIN, reason=reason)
