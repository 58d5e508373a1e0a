"""The life cycle of outputs: when a command or a rule is admitted. No I/O.

    all outputs   CLOSED ──▶ OPENING ──▶ OPEN ──▶ CLOSING ──▶ CLOSED
    each output   CLOSED ──▶ UNCERTAIN ◀──▶ READY      and from both back to CLOSED, when its line is given back

A command or a rule is admitted while all outputs are OPEN and its own is READY, in no other state. An output is
UNCERTAIN from a command until the chip has confirmed it; one that stays so is brought to its safe
state, again and again until that is confirmed. Unless it is READY and off, it counts as on within its group.
"""

from __future__ import annotations

import enum


class Life(enum.Enum):
    """Of all outputs together."""

    CLOSED = "closed"
    OPENING = "being opened"
    OPEN = "open"
    CLOSING = "being closed"


class OutputState(enum.Enum):
    """Of one output."""

    CLOSED = "its line is not in use"
    UNCERTAIN = "it is not known how it was switched last; its safe state is tried"
    READY = "it is as commanded"
