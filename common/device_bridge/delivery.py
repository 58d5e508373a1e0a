"""Moves messages from the outbox over the link, many under way at once, and takes them off when receipts come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from iofog_sdk import Link, LinkError, Outcome

from .outbox import Outbox
from .store import Entry

WINDOW = 256
"""Messages under way without a receipt. Enough to fill a slow link, few enough to send again after a loss."""


class Delivery:
    """Sends in order; after a loss of the link begins again at the first message without a receipt.

    Parameters:
        outbox: where messages come from.
        link: where they go.
        body: what to send for an entry.
        window: messages under way at most.
    """

    def __init__(self, outbox: Outbox, link: Link, body: Callable[[Entry], bytes], window: int = WINDOW) -> None:
        self._outbox, self._link, self._body, self._window = outbox, link, body, window
        self._under_way = 0
        self._rewinding = False
        self._progress = asyncio.Event()

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await self._link.wait_connected()
            await self._outbox.wait_unsent()
            self._progress.clear()
            self._send()
            await self._link.wait_for_room()
            if self._under_way >= self._window or self._rewinding:
                await self._progress.wait()

    async def wait_drained(self) -> None:
        """Returns when everything in the outbox has its receipt."""
        while not self._outbox.is_empty:
            self._progress.clear()
            await self._progress.wait()

    def _send(self) -> None:
        while self._under_way < self._window and self._link.connected and not self._rewinding:
            entry = self._outbox.take()
            if entry is None:
                return
            self._under_way += 1
            self._link.post(self._body(entry), self._done)

    def _done(self, outcome: Outcome) -> None:
        self._under_way -= 1
        if isinstance(outcome, LinkError):
            self._rewinding = True
        else:
            self._outbox.acknowledge()
        if self._rewinding and not self._under_way:
            self._outbox.rewind()
            self._rewinding = False
        self._progress.set()
