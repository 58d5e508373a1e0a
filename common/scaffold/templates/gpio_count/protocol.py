"""DEVICE: what a pulse of its line means. No I/O."""

from __future__ import annotations

from device_bridge import Quantity, Reading

TOTAL = Quantity("total", "count", (0, 1e12), "closings of the contact, over restarts too")
PER_PULSE = 1.0


def reading_of(pulses: int) -> Reading:
    """What so many pulses amount to."""
    return TOTAL.good(round(pulses * PER_PULSE, 6))
