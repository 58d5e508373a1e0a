"""Received messages until the application consumes them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from ..messages.iomessage import IoMessage

log = logging.getLogger("iofog_sdk")

MAX_MESSAGES = 1000
MAX_BYTES = 32 * 1024 * 1024
_OVERHEAD_BYTES = 500
"""Memory of a message besides its content."""


class _Entry(NamedTuple):
    message: IoMessage
    acknowledge: Callable[[], None]

    @property
    def size(self) -> int:
        return len(self.message.contentdata) + _OVERHEAD_BYTES


class Inbox:
    """A bounded queue.

    Where a sender repeats what is not acknowledged, a message that does not fit is refused (`put`); where it does
    not, the oldest ones make room (`push`), as a late command is worth less than a new one. A connection is read on
    in either case: what keeps it alive comes by the same way as messages do.
    """

    def __init__(self) -> None:
        self._queue: deque[_Entry] = deque()
        self._come = asyncio.Event()
        self._bytes = 0
        self.dropped = 0
        """Messages that had to make room."""

    def __len__(self) -> int:
        return len(self._queue)

    def put(
        self, message: IoMessage, acknowledge: Callable[[], None] = lambda: None, *, limited_by_sender: bool = False
    ) -> bool:
        """Adds a message; false when there is no room.

        Parameters:
            message: the message received.
            acknowledge: called when the message has been processed.
            limited_by_sender: whether the sender itself bounds its unacknowledged messages; then only their size is
                limited here.
        """
        if self._bytes >= MAX_BYTES or (not limited_by_sender and len(self._queue) >= MAX_MESSAGES):
            return False
        self._add(_Entry(message, acknowledge))
        return True

    def push(self, message: IoMessage) -> None:
        """Adds a message that no sender repeats; the oldest ones make room."""
        entry = _Entry(message, lambda: None)
        while self._queue and (len(self._queue) >= MAX_MESSAGES or self._bytes + entry.size > MAX_BYTES):
            self._bytes -= self._queue.popleft().size
            if not self.dropped:
                log.warning("messages come faster than they are taken: the oldest of %d are dropped", MAX_MESSAGES)
            self.dropped += 1
        self._add(entry)

    async def messages(self) -> AsyncIterator[IoMessage]:
        """Yields each message and never ends; a message counts as processed when the next one is requested."""
        while True:
            while not self._queue:
                self._come.clear()
                await self._come.wait()
            entry = self._queue.popleft()
            self._bytes -= entry.size
            yield entry.message
            entry.acknowledge()

    def _add(self, entry: _Entry) -> None:
        self._bytes += entry.size
        self._queue.append(entry)
        self._come.set()
