"""One stream's share of an outbox that several put messages into: its own accounting, and no more than its part."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sized

from .account import Account
from .durable import Outbox
from .entry import OVERHEAD_BYTES
from .memory import FULL

_MOST = 1.5
"""Of an equal part: a stream that holds more is not to push out what others have put in."""


class Share:
    """What one stream sees of the outbox.

    In a full outbox `drop_oldest` drops the oldest, whose ever it is; a stream that holds more than one and a half
    equal parts drops its own newest instead. With `pause_reading` each stream waits when it holds its equal part.

    Parameters:
        box: the outbox.
        name: of the stream.
        sharing: all that have a share now.
    """

    def __init__(self, box: Outbox, name: str, sharing: Sized) -> None:
        self._box, self._name, self._sharing = box, name, sharing
        self._account = box.accounts.setdefault(name, Account())
        self._less = asyncio.Event()
        self._account.on_less = self._less.set
        self.when_written, self.wait_written = box.when_written, box.wait_written

    @property
    def read(self) -> int:
        """Readings put in, found from an earlier run, or dropped on the way in."""
        return self._account.read

    @property
    def delivered(self) -> int:
        """Readings the node has given a receipt for."""
        return self._account.delivered

    @property
    def buffered(self) -> int:
        """Readings waiting, sent or not."""
        return self._account.buffered

    @property
    def dropped(self) -> Counter[str]:
        """Readings dropped, by reason."""
        return self._account.dropped

    @property
    def recovered(self) -> int:
        """Readings found from an earlier run; part of `read`."""
        return self._account.recovered

    @property
    def problem(self) -> str:
        """Why the disk cannot be used; "" while it can, or need not."""
        return self._box.problem

    @property
    def disk_errors(self) -> int:
        """Unexpected errors of the disk; of the whole outbox, and counted there."""
        return 0

    def oldest_age_s(self) -> float:
        """Seconds that the oldest message of all streams has waited; 0 when none of this one waits."""
        return self._box.oldest_age_s() if self.buffered else 0.0

    def put(self, body: bytes, readings: int, clock: str = "") -> None:
        """As of the outbox."""
        settings, size = self._box.settings, len(body) + OVERHEAD_BYTES
        if (
            settings.on_full != "pause_reading"
            and self._box.is_full_for(size)
            and self._account.size + size > _MOST * self._part
        ):
            self.refuse(readings, FULL)
        else:
            self._box.put(body, readings, clock, self._name)

    def refuse(self, readings: int, reason: str) -> None:
        """Counts readings that could not become a message."""
        self._box.refuse(readings, reason, self._name)

    def has_room(self) -> bool:
        """Whether the next sample may be read now."""
        return self._has_part_left() and self._box.has_room()

    def _has_part_left(self) -> bool:
        return self._box.settings.on_full != "pause_reading" or self._account.size < self._part

    async def wait_room(self) -> None:
        """Returns when the next sample may be read."""
        while not self._has_part_left():
            self._less.clear()
            await self._less.wait()
        await self._box.wait_room()

    @property
    def _part(self) -> float:
        return self._box.capacity / max(1, len(self._sharing))


AnyOutbox = Outbox | Share
