"""What has come from the broker and waits to be passed on, within bounds. No I/O."""

from __future__ import annotations

from collections import deque

from iofog_sdk.mqtt import ReceivedMessage

_MOST = 1000
"""Messages waiting beyond which those without a guarantee are dropped."""
_MOST_BYTES = 32 * 1024 * 1024
"""Of all that wait: far more than brokers send without acknowledgements, where messages are not very large."""
_OVERHEAD_BYTES = 500
"""What a message costs beside topic and payload."""


class Arrivals:
    """Messages in the order of their coming.

    A guaranteed message that is not taken is not acknowledged, and once the broker's window is full, that holds it
    back. How large the window is, the broker decides; what is limited here is memory. When that is full, messages are
    left to the broker, which sends them again on the next connection, from the first one that was left on.
    """

    def __init__(self) -> None:
        self._waiting: deque[ReceivedMessage] = deque()
        self._bytes = 0
        self.is_overflown = False
        """Whether guaranteed messages had to be left to the broker."""
        self.dropped = 0
        """Messages without a guarantee that found no room."""

    def put(self, received: ReceivedMessage) -> None:
        """Takes a message, drops it, or leaves it to the broker."""
        has_room = self._bytes < _MOST_BYTES
        if received.guaranteed:
            self.is_overflown = self.is_overflown or not has_room
            if self.is_overflown:
                received.leave()
                return
        elif not has_room or len(self._waiting) >= _MOST:
            self.dropped += 1
            return
        self._waiting.append(received)
        self._bytes += _size(received)

    def take(self) -> ReceivedMessage | None:
        """The oldest one, None when all have been taken."""
        if not self._waiting:
            return None
        received = self._waiting.popleft()
        self._bytes -= _size(received)
        return received

    def leave(self) -> None:
        """What has not been taken is left to the broker."""
        while (received := self.take()) is not None:
            received.leave()


def _size(received: ReceivedMessage) -> int:
    return len(received.payload) + len(received.topic) + _OVERHEAD_BYTES
