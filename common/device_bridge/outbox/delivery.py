"""Moves messages from the outbox over the link, many in flight at once, and takes them off when receipts come."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from iofog_sdk import LinkError, MessageError, Outcome

from .durable import Outbox
from .entry import Entry

log = logging.getLogger("device_bridge")

WINDOW = 256
"""Messages in flight without a receipt. Enough to fill a slow link, few enough to send again after a loss."""


NOT_SENDABLE, REFUSED = "not sendable", "refused by the node"
"""Why messages are given up: the transport cannot carry them; or the node ends the connection over each attempt."""
_SUSPECT_AFTER, _SUSPECT_AFTER_S = 10, 60.0
"""A message over which so many connections were lost one after another, for so long, is suspected."""
_MOST_SUSPECTS = 4
"""Messages one behind another that the node may end connections over."""


class Transport(Protocol):
    """Where messages go: a link, or anything else that acknowledges them in order."""

    @property
    def connected(self) -> bool:
        """Whether messages can be sent now."""

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        """Sends one; `done` is called once, as a Link does it."""

    async def wait_connected(self) -> None:
        """Returns when messages can be sent."""

    async def wait_for_room(self) -> None:
        """Returns when more can be sent without piling up in memory."""


class _Sent(msgspec.Struct):
    """A message in flight, and its outcome when that is known."""

    number: int
    on_end: Callable[[], None]
    outcome: Outcome | None = None

    def end(self, outcome: Outcome) -> None:
        if self.outcome is None:
            self.outcome = outcome
            self.on_end()


class Delivery:
    """Sends in order; after a loss of the link begins again at the first message without a receipt.

    A message that the transport refuses is given up. One over which the connection is lost again and again is sent
    alone, and when that has gone on for a minute the next one is tried in its place, later the one behind that, up to
    the fifth. If that passes, it was the messages before it, which are given up; if not, it is the node, and nothing
    is.

    Parameters:
        outbox: where messages come from.
        transport: where they go.
        body: what to send for an entry.
        window: messages in flight at most.
    """

    def __init__(
        self, outbox: Outbox, transport: Transport, body: Callable[[Entry], bytes], window: int = WINDOW
    ) -> None:
        self._outbox, self._transport, self._body, self._window = outbox, transport, body, window
        self._in_flight: deque[_Sent] = deque()
        self._rewinding = False
        self._progress = asyncio.Event()
        self._failed: asyncio.Future[None] | None = None
        self._suspect, self._losses, self._lost_at = 0, 0, 0.0
        self._suspects = 0
        """How many messages were put aside last, one of which is tried alone each time."""

    async def run(self) -> None:
        """Runs until cancelled. Raises what goes wrong with an outcome: nothing would be delivered any more."""
        loop = asyncio.get_running_loop()
        self._failed = loop.create_future()
        sending = loop.create_task(self._send_all())
        try:
            await asyncio.wait((sending, self._failed), return_when=asyncio.FIRST_COMPLETED)
            (self._failed if self._failed.done() else sending).result()
        finally:
            sending.cancel()
            self._failed.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send_all(self) -> None:
        while True:
            await self._transport.wait_connected()
            await self._outbox.wait_unsent()
            self._progress.clear()
            self._send()
            await self._transport.wait_for_room()
            if len(self._in_flight) >= self._most or self._rewinding:
                await self._progress.wait()

    @property
    def _most(self) -> int:
        if self._losses > 1:
            return 1
        # What is in flight cannot be dropped: if all were, the newest would have to give way.
        return min(self._window, max(1, self._outbox.settings.max_messages // 2))

    def _send(self) -> None:
        most, in_flight = self._most, self._in_flight
        if not self._transport.connected:
            return
        while len(in_flight) < most and not self._rewinding:
            entry = self._outbox.take()
            if entry is None:
                return
            sent = _Sent(entry.number, self._end_sent)
            in_flight.append(sent)
            try:
                self._transport.post(self._body(entry), sent.end)
            except Exception as error:
                log.exception("message %d cannot be sent", entry.number)
                sent.end(MessageError("frame", f"cannot be sent: {error}"))

    def _end_sent(self) -> None:
        try:
            in_flight = self._in_flight
            while in_flight and (outcome := in_flight[0].outcome) is not None:
                self._end(in_flight.popleft().number, outcome)
            if self._rewinding and not in_flight:
                self._outbox.rewind()
                self._rewinding = False
                self._judge_suspect()
            self._progress.set()
        except Exception as error:  # whoever reports an outcome can do nothing about it
            log.exception("delivery: unexpected error")
            if self._failed is not None and not self._failed.done():
                self._failed.set_exception(error)

    def _end(self, number: int, outcome: Outcome) -> None:
        outbox = self._outbox
        if isinstance(outcome, LinkError):
            if not self._rewinding:
                self._count_loss(number)
            self._rewinding = True
            return
        if self._rewinding:
            return  # sent again behind those that were lost: order goes before
        self._losses = self._suspects = 0
        if isinstance(outcome, MessageError):
            log.error("a message is dropped: %s", outcome)
            outbox.acknowledge(NOT_SENDABLE)
            return
        if count := len(outbox.set_aside):
            log.error(
                "%d messages from %d on are dropped: the node ends every connection over them", count, self._suspect
            )
            outbox.give_up_aside(REFUSED)
        outbox.acknowledge()

    def _count_loss(self, number: int) -> None:
        now = asyncio.get_running_loop().time()
        if self._outbox.set_aside:
            self._losses = 2  # it was not that message
        elif number != self._suspect or not self._losses:
            self._suspect, self._losses, self._lost_at = number, 1, now
        else:
            self._losses += 1

    def _judge_suspect(self) -> None:
        if self._outbox.set_aside:
            self._outbox.take_back()
            return
        for_s = asyncio.get_running_loop().time() - self._lost_at
        if self._losses >= _SUSPECT_AFTER and for_s >= _SUSPECT_AFTER_S:
            self._suspects = self._suspects % _MOST_SUSPECTS + 1
            self._outbox.put_aside(self._suspects)
