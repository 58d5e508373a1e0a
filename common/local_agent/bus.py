"""Routes, queues and archive of the agent. No I/O."""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from iofog_sdk import IoMessage, MessageError

log = logging.getLogger("local_agent")

_QUEUE_BYTES = 64 * 1024 * 1024
"""Per receiver. The Java agent has no limit of its own; its broker's memory is the limit there."""
_ARCHIVE_BYTES = 16 * 1024 * 1024
"""Per publisher. The Java agent keeps files, 10 GB in all by default."""
_OVERHEAD_BYTES = 1000

Deliver = Callable[[bytes], None]
"""Sends a binary message to a socket."""
T = TypeVar("T")


class BoundedQueue(Generic[T]):
    """A queue bounded in bytes; when it is full, the oldest items are dropped.

    Parameters:
        size: bytes of an item.
        limit: bytes in all.
        name: for a log line when it is full; empty for none.
    """

    def __init__(self, size: Callable[[T], int], limit: int = _QUEUE_BYTES, name: str = "") -> None:
        self._name, self._size, self._limit = name, size, limit
        self.items: deque[T] = deque()
        self._bytes = 0
        self._full = False

    def __len__(self) -> int:
        return len(self.items)

    def append(self, item: T) -> int:
        """Adds one item; returns how many were dropped for it."""
        self.items.append(item)
        self._bytes += self._size(item) + _OVERHEAD_BYTES
        dropped = 0
        while self._bytes > self._limit and len(self.items) > 1:
            self.popleft()
            dropped += 1
        if dropped and self._name and not self._full:
            self._full = True
            log.warning("%s is full: the oldest messages are dropped, and counted", self._name)
        return dropped

    def popleft(self) -> T:
        """Removes and returns the oldest item."""
        item = self.items.popleft()
        self._bytes -= self._size(item) + _OVERHEAD_BYTES
        return item

    def clear(self) -> None:
        """Removes and returns all items."""
        self.items.clear()
        self._bytes, self._full = 0, False


def _size(message: IoMessage) -> int:
    return sum(len(value) for value in msgspec.structs.astuple(message) if isinstance(value, str | bytes))


class MessageBus:
    """Gives every message an id and a time, archives it, and delivers a copy to each receiver.

    Parameters:
        now_ms: the wall clock, milliseconds since 1970-01-01 UTC.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.now_ms = now_ms
        self._routes: Mapping[str, Sequence[str]] = {}
        self._queues: dict[str, BoundedQueue[IoMessage]] = {}
        self._archive: dict[str, BoundedQueue[IoMessage]] = {}
        self._realtime: dict[str, Deliver] = {}
        self.counters: Counter[str] = Counter()

    def set_routes(self, routes: Mapping[str, Sequence[str]]) -> None:
        """Publisher id to receiver ids."""
        self._routes = routes

    def publish(self, message: IoMessage) -> IoMessage:
        """Accepts a message; one without a route gets an id and is discarded, like the Java agent does."""
        message.id = uuid.uuid4().hex
        message.timestamp = self.now_ms()
        self.counters["published"] += 1
        receivers = self._routes.get(message.publisher, ())
        if receivers:
            self._archive.setdefault(message.publisher, BoundedQueue(_size, _ARCHIVE_BYTES)).append(message)
        for receiver in receivers:
            self._bring(message, receiver)
        return message

    def connect(self, receiver: str, deliver: Deliver) -> None:
        """Sends messages to this socket from now on, and those that wait at once."""
        waiting = self.next(receiver)
        self._realtime[receiver] = deliver
        for message in waiting:
            self._bring(message, receiver)

    def disconnect(self, receiver: str) -> None:
        """Lets messages wait for REST from now on."""
        self._realtime.pop(receiver, None)

    def waiting(self, receiver: str) -> list[IoMessage]:
        """Messages that wait for a receiver; none while its socket is open."""
        queue = self._queues.get(receiver)
        return list(queue.items) if queue is not None and receiver not in self._realtime else []

    def next(self, receiver: str) -> list[IoMessage]:
        """Removes and returns the messages that wait for a receiver."""
        taken = self.waiting(receiver)
        if taken:
            self._queues[receiver].clear()
        return taken

    def query(
        self, receiver: str, start_ms: int, end_ms: int, publishers: Sequence[str]
    ) -> tuple[list[IoMessage], int] | None:
        """Archived messages, and the time of the last; None in the case where the Java agent fails.

        It fails when a publisher that routes to the receiver has no message in this time.
        """
        found: list[IoMessage] = []
        last_ms = end_ms
        for publisher in publishers:
            if receiver not in self._routes.get(publisher, ()) or start_ms > end_ms:
                continue
            archive = self._archive.get(publisher)
            matching = [m for m in archive.items if start_ms <= m.timestamp <= end_ms] if archive else []
            if not matching:
                return None
            found += matching
            last_ms = matching[-1].timestamp
        return found, last_ms

    def _bring(self, message: IoMessage, receiver: str) -> None:
        deliver = self._realtime.get(receiver)
        if deliver is not None:
            try:
                deliver(message.to_bytes())
                self.counters["delivered"] += 1
            except MessageError as error:
                self.counters["not deliverable"] += 1
                log.warning("message %s cannot be sent over a socket: %s", message.id, error)
            return
        queue = self._queues.setdefault(receiver, BoundedQueue(_size, name=f"queue of {receiver}"))
        self.counters["queued"] += 1
        self.counters["dropped"] += queue.append(message)
