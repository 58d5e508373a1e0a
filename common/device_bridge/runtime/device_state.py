"""The states of a device.

What leads from one to the next; commands are admitted while the device is open, in no other state:

    STARTING ──▶ OPENING ──▶ OPEN ──▶ READING ◀──▶ STALE
                   ▲  │        └────────┴────────────┤ failure, other settings, end
                   │  ▼                              ▼
                   FAILED ◀────────────────────── CLOSING ──▶ STOPPED
"""

from __future__ import annotations

import enum


class DeviceState(enum.Enum):
    """The state of the device."""

    STARTING = "starting"
    OPENING = "opening"
    OPEN = "open"
    """Opened; nothing has come yet."""
    READING = "reading"
    STALE = "stale"
    """Open, but without a reading for longer than `stale_after`."""
    CLOSING = "closing"
    FAILED = "failed"
    """Not usable now; will be tried again."""
    STOPPED = "stopped"


USABLE = (DeviceState.OPEN, DeviceState.READING, DeviceState.STALE)
