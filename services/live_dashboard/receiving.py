"""Messages to the board, as they come; or from the inbound outbox, where they wait until the page can be served."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from iofog_sdk import IoMessage, Outcome, Receipt

from .board import Board, read_message
from .web import Switching

log = logging.getLogger("live_dashboard")


class Receiver:
    """Where `Delivery` sends what has arrived.

    Parameters:
        board: takes it.
        switching: takes results of commands.
    """

    connected = True

    def __init__(self, board: Board, switching: Switching) -> None:
        self._board, self._switching = board, switching
        self.malformed = 0

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        """Reads one message that has waited."""
        self.take(IoMessage.from_bytes(body))
        done(Receipt("", round(time.time() * 1000)))

    def take(self, message: IoMessage) -> None:
        """Reads one message; what cannot be read is counted and logged once in a while."""
        now = time.time()
        try:
            arrival = read_message(message, now)
        except ValueError as error:
            self.malformed += 1
            self._board.add_event("malformed", message.publisher, str(error), now)
        else:
            self._board.take(arrival, now)
            if arrival.result is not None:
                self._switching.take(arrival.result)

    async def wait_connected(self) -> None:
        """Returns at once: the board is always there."""

    async def wait_for_room(self) -> None:
        """Lets others run between two windows of messages."""
        await asyncio.sleep(0)
