"""Moves messages from the outbox over the link, many in flight at once, and takes them off when receipts come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from iofog_sdk import LinkError, MessageError, Outcome

from .durable import Outbox
from .entry import Entry

log = logging.getLogger("device_bridge")

WINDOW = 256
"""Messages in flight without a receipt. Enough to fill a slow link, few enough to send again after a loss."""


class Transport(Protocol):
    """Where messages go: a link, or anything else that acknowledges them in order."""

    @property
    def connected(self) -> bool:
        """Whether messages can be sent now."""

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        """Sends one; `done` is called once, in the order of posting, as a Link does it."""

    async def wait_connected(self) -> None:
        """Returns when messages can be sent."""

    async def wait_for_room(self) -> None:
        """Returns when more can be sent without piling up in memory."""


class Delivery:
    """Sends in order; after a loss of the link begins again at the first message without a receipt.

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
        self._in_flight = 0
        self._rewinding = False
        self._progress = asyncio.Event()

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await self._transport.wait_connected()
            await self._outbox.wait_unsent()
            self._progress.clear()
            self._send()
            await self._transport.wait_for_room()
            if self._in_flight >= self._window or self._rewinding:
                await self._progress.wait()

    def _send(self) -> None:
        while self._in_flight < self._window and self._transport.connected and not self._rewinding:
            entry = self._outbox.take()
            if entry is None:
                return
            self._in_flight += 1
            self._transport.post(self._body(entry), self._done)

    def _done(self, outcome: Outcome) -> None:
        self._in_flight -= 1
        if isinstance(outcome, LinkError):
            self._rewinding = True
        else:
            if refused := isinstance(outcome, MessageError):
                log.error("a message is dropped: %s", outcome)
            self._outbox.acknowledge("not sendable" if refused else "")
        if self._rewinding and not self._in_flight:
            self._outbox.rewind()
            self._rewinding = False
        self._progress.set()
