"""Received messages until the application consumes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from ..messages.iomessage import IoMessage

_MAX_MESSAGES = 1000
_MAX_BYTES = 32 * 1024 * 1024
_OVERHEAD_BYTES = 500
"""Memory of a message besides its content."""


class _Entry(NamedTuple):
    message: IoMessage
    acknowledge: Callable[[], None]


class Inbox:
    """A bounded queue; a message that does not fit is refused, so that its sender repeats it."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[_Entry] = asyncio.Queue()
        self._bytes = 0

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
        if self._bytes >= _MAX_BYTES or (not limited_by_sender and self._queue.qsize() >= _MAX_MESSAGES):
            return False
        self._bytes += len(message.contentdata) + _OVERHEAD_BYTES
        self._queue.put_nowait(_Entry(message, acknowledge))
        return True

    async def messages(self) -> AsyncIterator[IoMessage]:
        """Yields each message and never ends; a message counts as processed when the next one is requested."""
        while True:
            message, acknowledge = await self._queue.get()
            self._bytes -= len(message.contentdata) + _OVERHEAD_BYTES
            yield message
            acknowledge()
