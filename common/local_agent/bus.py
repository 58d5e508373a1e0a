"""Routes, queues and archive of the agent. No I/O."""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

from iofog_sdk import IoMessage, MessageError

log = logging.getLogger("local_agent")

_QUEUE_BYTES = 64 * 1024 * 1024
"""Per receiver. The Java agent has no limit of its own; its broker's memory is the limit there."""
_ARCHIVE_BYTES = 16 * 1024 * 1024
"""Per publisher. The Java agent keeps files, 10 GB in all by default."""
_OVERHEAD_BYTES = 1000

Deliver = Callable[[bytes], bool]
"""Takes a binary message; false when the receiver is to be served by REST."""


class _Messages:
    """A queue bounded in bytes, oldest first out."""

    def __init__(self, limit: int) -> None:
        self.items: deque[IoMessage] = deque()
        self._limit = limit
        self._bytes = 0

    def append(self, message: IoMessage) -> int:
        """Adds one; returns how many fell out for it."""
        self.items.append(message)
        self._bytes += _size(message)
        fallen = 0
        while self._bytes > self._limit and len(self.items) > 1:
            self._bytes -= _size(self.items.popleft())
            fallen += 1
        return fallen

    def take_all(self) -> list[IoMessage]:
        taken = list(self.items)
        self.items.clear()
        self._bytes = 0
        return taken


def _size(message: IoMessage) -> int:
    return len(message.contentdata) + len(message.contextdata) + _OVERHEAD_BYTES


class MessageBus:
    """Gives every message an id and a time, archives it, and brings a copy to each receiver.

    Parameters:
        now_ms: the wall clock, milliseconds since 1970-01-01 UTC.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.now_ms = now_ms
        self._routes: Mapping[str, Sequence[str]] = {}
        self._queues: dict[str, _Messages] = {}
        self._archive: dict[str, _Messages] = {}
        self._realtime: dict[str, Deliver] = {}
        self.counters: Counter[str] = Counter()

    def set_routes(self, routes: Mapping[str, Sequence[str]]) -> None:
        """Publisher id to receiver ids."""
        self._routes = routes

    def publish(self, message: IoMessage) -> IoMessage:
        """Takes a message; one without a route is given an id and thrown away, as the Java agent does."""
        message.id = uuid.uuid4().hex
        message.timestamp = self.now_ms()
        self.counters["published"] += 1
        receivers = self._routes.get(message.publisher, ())
        if receivers:
            self._archive.setdefault(message.publisher, _Messages(_ARCHIVE_BYTES)).append(message)
        for receiver in receivers:
            self._bring(message, receiver)
        return message

    def connect(self, receiver: str, deliver: Deliver) -> None:
        """From now on messages go to this socket; those that have waited go at once."""
        self._realtime[receiver] = deliver
        queue = self._queues.get(receiver)
        for message in queue.take_all() if queue else ():
            self._bring(message, receiver)

    def disconnect(self, receiver: str) -> None:
        """From now on messages wait for REST."""
        self._realtime.pop(receiver, None)

    def next(self, receiver: str) -> list[IoMessage]:
        """All that waits for a receiver; nothing while its socket is open."""
        queue = self._queues.get(receiver)
        return queue.take_all() if queue and receiver not in self._realtime else []

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
                if deliver(message.to_bytes()):
                    self.counters["delivered"] += 1
                    return
            except MessageError as error:
                self.counters["not deliverable"] += 1
                log.warning("message %s cannot go over a socket: %s", message.id, error)
                return
        fallen = self._queues.setdefault(receiver, _Messages(_QUEUE_BYTES)).append(message)
        self.counters["queued"] += 1
        if fallen:
            self.counters["dropped"] += fallen
            log.warning("queue of %s is full: %d of the oldest messages dropped", receiver, fallen)
