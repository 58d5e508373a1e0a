"""Messages in flight: sent and not yet acknowledged."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from ..errors import LinkError, MessageError, ReceiptTimeout
from .receipts import Outcome, Receipt


class PendingMessage:
    """A message in flight."""

    __slots__ = ("done", "identity", "outcome", "refused", "sent_at")

    def __init__(self, identity: str, done: Callable[[Outcome], None], sent_at: float) -> None:
        self.identity, self.done, self.sent_at = identity, done, sent_at
        self.outcome: Outcome | None = None
        self.refused: MessageError | None = None
        """Why a part of it can never be sent."""


class InFlight:
    """Messages without an acknowledgement; their outcomes are reported in the order of sending.

    Senders take an outcome as that of their oldest message, so an early acknowledgement waits for those before it.

    Parameters:
        timeout_s: seconds that the oldest message may wait.
        clock: returns seconds.
    """

    def __init__(self, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s, self._clock = timeout_s, clock
        self._pending: deque[PendingMessage] = deque()
        self.acknowledged = 0
        """Messages reported as acknowledged or refused."""

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, identity: str, done: Callable[[Outcome], None]) -> PendingMessage:
        """Registers a message that is being sent; pass the result to `acknowledge`."""
        message = PendingMessage(identity, done, self._clock())
        self._pending.append(message)
        return message

    def acknowledge(self, message: PendingMessage, error: MessageError | None = None) -> None:
        """Records the acknowledgement of a message, or the error because of which it can never be sent."""
        message.outcome = error or Receipt(message.identity, time.time_ns() // 1_000_000)
        while self._pending and (outcome := self._pending[0].outcome) is not None:
            self.acknowledged += 1
            self._pending.popleft().done(outcome)

    def fail(self, error: LinkError) -> None:
        """Reports this error for all of them."""
        failed, self._pending = self._pending, deque()
        for message in failed:
            message.done(error)

    def timeout_error(self) -> ReceiptTimeout | None:
        """Why the connection must be closed, if the oldest message has waited too long."""
        if self._pending and self._clock() - self._pending[0].sent_at > self._timeout_s:
            return ReceiptTimeout(f"no acknowledgement within {self._timeout_s:g} s")
        return None


def too_large_error(size: int, limit: int, name: str) -> MessageError:
    """The error for a message that a server would close every connection over."""
    return MessageError("frame", f"at most {limit} bytes can be sent to this {name}", size)
