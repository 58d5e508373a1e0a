"""DEVICE: what its line means. No I/O."""

from __future__ import annotations

from device_bridge import Quantity, Reading

CLOSED = Quantity("closed", description="whether the contact is closed")


def reading_of(level: int) -> Reading:
    """The state that a level of the line tells, 1 for on."""
    return CLOSED.good(bool(level))
