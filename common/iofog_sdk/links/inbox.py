"""Received messages until they are taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from ..messages.iomessage import IoMessage

_INBOX_LIMIT = 1000


_INBOX_BYTES = 32 * 1024 * 1024


_INBOX_OVERHEAD = 500
"""Bytes that a message costs besides its content."""


class Received(NamedTuple):
    """A received message, and what is to be called once it has been taken."""

    message: IoMessage
    taken: Callable[[], None]


class Inbox:
    """Received messages, bounded; what does not fit is refused, for the sender to send it again."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Received] = asyncio.Queue()
        self._bytes = 0

    def put(
        self, message: IoMessage, taken: Callable[[], None] = lambda: None, *, is_held_back: bool = False
    ) -> bool:
        """Whether there was room.

        Parameters:
            message: that has come.
            taken: called once it has been worked off.
            is_held_back: whether the sender stops by itself after some number of them, which it decides.
        """
        if self._bytes >= _INBOX_BYTES or (not is_held_back and self._queue.qsize() >= _INBOX_LIMIT):
            return False
        self._bytes += len(message.contentdata) + _INBOX_OVERHEAD
        self._queue.put_nowait(Received(message, taken))
        return True

    async def take(self) -> AsyncIterator[IoMessage]:
        """Each message as it comes, for ever; it counts as taken when the next one is asked for."""
        while True:
            message, taken = await self._queue.get()
            self._bytes -= len(message.contentdata) + _INBOX_OVERHEAD
            yield message
            taken()
