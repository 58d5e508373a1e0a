"""What waits in the outbox, and what can go wrong with its file."""

from __future__ import annotations

import msgspec


class Entry(msgspec.Struct, gc=False):
    """One encoded message on its way to the node.

    Parameters:
        number: position in the outbox, increasing over all runs.
        body: the binary ioMessage.
        readings: how many readings it holds.
        put_at: when it was put in, seconds since 1970-01-01 UTC.
        clock: the clock's mark; "" when the times in the body are right.
    """

    number: int
    body: bytes
    readings: int
    put_at: float
    clock: str = ""


class StoreError(Exception):
    """The file cannot be used now: disk full, read-only, permission lost, input/output error."""


class StoreDamaged(StoreError):  # noqa: N818 - the name says what happened
    """The file turned out to be damaged and was set aside; entries that were only in it are lost."""
