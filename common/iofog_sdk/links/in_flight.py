"""Messages in flight: sent, and not yet acknowledged."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from ..errors import LinkError, MessageError, ReceiptTimeout
from .receipts import Outcome, Receipt


class Sent:
    """A message under way."""

    __slots__ = ("at", "done", "identity", "outcome")

    def __init__(self, identity: str, done: Callable[[Outcome], None], at: float) -> None:
        self.identity, self.done, self.at = identity, done, at
        self.outcome: Outcome | None = None


class InFlight:
    """Messages without an acknowledgement, in the order of sending; their ends are told in that order.

    Whoever sends takes an end as that of its oldest message, so an acknowledgement that overtakes waits for its turn.

    Parameters:
        timeout_s: for the oldest.
        clock: seconds.
    """

    def __init__(self, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s, self._clock = timeout_s, clock
        self._sent: deque[Sent] = deque()
        self.acknowledged = 0
        """How many have been told as such."""

    def __len__(self) -> int:
        return len(self._sent)

    def add(self, identity: str, done: Callable[[Outcome], None]) -> Sent:
        """A message that is being sent; pass what this returns to `acknowledge`."""
        sent = Sent(identity, done, self._clock())
        self._sent.append(sent)
        return sent

    def acknowledge(self, sent: Sent, refused: MessageError | None = None) -> None:
        """Its acknowledgement has come, or it turned out that it cannot be sent."""
        sent.outcome = refused or Receipt(sent.identity, time.time_ns() // 1_000_000)
        while self._sent and (outcome := self._sent[0].outcome) is not None:
            self.acknowledged += 1
            self._sent.popleft().done(outcome)

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


def too_large(size: int, limit: int, name: str) -> MessageError:
    """Why a message cannot be sent: it would end each connection anew."""
    return MessageError("frame", f"at most {limit} bytes can be sent to this {name}", size)
