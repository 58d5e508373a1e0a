"""What the links of newer nodes have in common: messages under way, in order, and received ones until taken."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from .errors import ConnectionLost, LinkError, ReceiptTimeout
from .frames import Receipt
from .message import IoMessage

Outcome = Receipt | LinkError
_INBOX_LIMIT = 1000


class _Sent:
    __slots__ = ("acknowledged", "at", "done", "identity")

    def __init__(self, identity: str, done: Callable[[Outcome], None], at: float) -> None:
        self.identity, self.done, self.at = identity, done, at
        self.acknowledged = False


class InFlight:
    """Messages without an acknowledgement, in the order of sending; their ends are told in that order.

    Whoever sends takes an end as that of its oldest message, so an acknowledgement that overtakes waits for its turn.

    Parameters:
        timeout_s: for the oldest.
        clock: seconds.
    """

    def __init__(self, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s, self._clock = timeout_s, clock
        self._sent: deque[_Sent] = deque()

    def __len__(self) -> int:
        return len(self._sent)

    def add(self, identity: str, done: Callable[[Outcome], None]) -> _Sent:
        """A message that is being sent; pass what this returns to `acknowledge`."""
        sent = _Sent(identity, done, self._clock())
        self._sent.append(sent)
        return sent

    def acknowledge(self, sent: _Sent) -> None:
        """Its acknowledgement has come."""
        sent.acknowledged = True
        while self._sent and self._sent[0].acknowledged:
            first = self._sent.popleft()
            first.done(Receipt(first.identity, time.time_ns() // 1_000_000))

    def fail(self, error: LinkError) -> None:
        """Ends all of them."""
        failed, self._sent = self._sent, deque()
        for sent in failed:
            sent.done(error)

    def overdue(self) -> ReceiptTimeout | None:
        """Why the connection has to be given up, if the oldest has waited for too long."""
        if self._sent and self._clock() - self._sent[0].at > self._timeout_s:
            return ReceiptTimeout(f"no acknowledgement within {self._timeout_s:g} s")
        return None


class Received(NamedTuple):
    """A received message, and what is to be called once it has been taken."""

    message: IoMessage
    taken: Callable[[], None]


class Inbox:
    """Received messages, bounded; what does not fit is refused, for the sender to send it again."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Received] = asyncio.Queue(_INBOX_LIMIT)

    def put(self, message: IoMessage, taken: Callable[[], None] = lambda: None) -> bool:
        """Whether there was room."""
        try:
            self._queue.put_nowait(Received(message, taken))
        except asyncio.QueueFull:
            return False
        return True

    async def take(self) -> AsyncIterator[IoMessage]:
        """Each message as it comes, for ever."""
        while True:
            message, taken = await self._queue.get()
            taken()
            yield message


def not_connected(what: str, error: LinkError | None) -> LinkError:
    """What a message meets that is posted while nothing is connected."""
    return error or ConnectionLost(f"{what}: not connected")
