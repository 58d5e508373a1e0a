"""DEVICE: what its line means. No I/O."""

from __future__ import annotations

from device_bridge import Quantity, Reading

CLOSED = Quantity("closed", description="whether the contact is closed")


def reading_of(is_on: bool) -> Reading:
    """The state that the line tells."""
    return CLOSED.good(is_on)
