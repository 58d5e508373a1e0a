"""What waits in the outbox, and what can go wrong with its disk."""

from __future__ import annotations

import msgspec


class Entry(msgspec.Struct, gc=False):
    """One encoded message on its way to the node.

    Parameters:
        number: position in the outbox, increasing over all runs.
        body: the binary ioMessage.
        readings: how many readings it holds.
        since: when it was put in, seconds since this boot; an estimate for an entry of an earlier one.
        clock: the clock's mark; "" when the times in the body are not by this node's clock.
        put_at: when it was put in, seconds since 1970-01-01 UTC; known once it is written to disk.
        stream: whose message it is, where several share the outbox; "" where it has one user.
    """

    number: int
    body: bytes
    readings: int
    since: float
    clock: str = ""
    put_at: float = 0.0
    stream: str = ""


OVERHEAD_BYTES = 200
"""What an entry costs beside its body: two Python objects and a place in a deque, or a record."""


def size_of(entry: Entry) -> int:
    """Bytes an entry counts for."""
    return len(entry.body) + OVERHEAD_BYTES


class StoreError(Exception):
    """The disk cannot be used now: full, read-only, permission lost, input/output error, another process."""
