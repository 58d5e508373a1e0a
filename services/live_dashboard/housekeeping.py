"""What is done from time to time: silent sources found, the history written, what is long gone forgotten."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from device_bridge import NodeState

from .board import Board
from .history import History

_TICK_S = 1.0
_WRITE_S = 15.0
_FORGET_S = 3600.0


class Housekeeper:
    """Keeps a board and its history in order.

    Parameters:
        board, history: of the dashboard.
        days: after which a silent source is forgotten.
        node: its link and refused settings become events.
    """

    def __init__(self, board: Board, history: History, days: int, node: Callable[[], NodeState]) -> None:
        self._board, self._history, self._days, self._node = board, history, days, node
        self._was_up, self._was_refused = True, ""

    async def run(self) -> None:
        """Runs until cancelled."""
        loop = asyncio.get_running_loop()
        written_at = forgotten_at = loop.time()
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.time()
            self._look_at_node(now)
            self._board.tick(now)
            if loop.time() - written_at >= _WRITE_S:
                written_at = loop.time()
                await self._history.write(now)
            if loop.time() - forgotten_at >= _FORGET_S:
                forgotten_at = loop.time()
                await self._forget(now - self._days * 86_400)

    def _look_at_node(self, now: float) -> None:
        node = self._node()
        if (up := node.is_connected()) != self._was_up:
            self._was_up = up
            self._board.add_event("page", "", f"the link to the node is {'up again' if up else 'down'}", now)
        if (refused := node.settings_refused) != self._was_refused:
            self._was_refused = refused
            text = f"settings of this page refused: {refused}" if refused else "settings of this page are good again"
            self._board.add_event("refused" if refused else "accepted", "", text, now)

    async def _forget(self, before: float) -> None:
        for source in [one for one in self._board.sources.values() if one.silent and one.pulse.last < before]:
            await self._history.forget(source)
