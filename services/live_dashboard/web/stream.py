"""Frames to open pages as server-sent events: the same bytes for all that are up to date, coalesced for slow ones."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import msgspec
from aiohttp import web

from ..board import Board, Frame, changes, snapshot
from .bodies import ErrorBody
from .security import HEADERS

FRAME_S = 0.25
_ACCOUNTS_S = 1.0
_KEEP_ALIVE_S = 10.0
_WRITE_S = 10.0
"""A client that has not taken a frame for so long is dropped."""
_SOCKET_BYTES = 256 * 1024


class FrameStream:
    """Makes frames while somebody looks.

    Parameters:
        board: what is shown.
        clients: most open pages.
        link: whether the node is connected, and why not.
    """

    def __init__(self, board: Board, clients: int, link: Callable[[], tuple[bool, str]]) -> None:
        self._board, self._most, self.link = board, clients, link
        self._turn = asyncio.Event()
        self._cached: tuple[tuple[int, int, bool], bytes] = ((-1, -1, False), b"")
        self._shown_link: tuple[bool, str] = (True, "")
        self._link_revision = 0
        self.connections: set[web.RequestHandler] = set()
        """Those of open pages."""
        self.dropped = 0
        """Clients that were too slow."""

    @property
    def clients(self) -> int:
        """How many pages are open."""
        return len(self.connections)

    async def run(self) -> None:
        """Wakes clients, each of which sends what it has not sent yet; never ends."""
        while True:
            await asyncio.sleep(FRAME_S)
            if not self.clients:
                continue
            if (link := self.link()) != self._shown_link:
                self._shown_link = link
                self._board.revision += 1
                self._link_revision = self._board.revision
            self._turn.set()
            self._turn = asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One client, until it goes or is too slow."""
        if self.clients >= self._most:
            body = msgspec.json.encode(ErrorBody(f"{self._most} pages are open already"))
            return web.Response(body=body, content_type="application/json", status=503)
        self.connections.add(request.protocol)
        response = web.StreamResponse(
            headers={**HEADERS, "Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        try:
            with contextlib.suppress(ConnectionError):
                await response.prepare(request)
                if request.transport is not None:
                    request.transport.set_write_buffer_limits(high=_SOCKET_BYTES)
                await self._feed(response)
        except TimeoutError:
            self.dropped += 1
            if request.transport is not None:
                request.transport.abort()
        finally:
            self.connections.discard(request.protocol)
        return response

    async def _feed(self, response: web.StreamResponse) -> None:
        whole = snapshot(self._board, time.time())
        whole.link = self._shown_link = self.link()
        await self._write(response, b"event: snapshot\ndata: " + msgspec.json.encode(whole) + b"\n\n")
        shown, spoke_at, counted_at = whole.revision, time.monotonic(), time.monotonic()
        while True:
            await self._turn.wait()
            now = time.monotonic()
            if self._board.revision == shown and now - spoke_at < _KEEP_ALIVE_S:
                continue
            accounts = now - counted_at >= _ACCOUNTS_S
            spoke_at, counted_at = now, now if accounts else counted_at
            revision, frame = self._frame(shown, accounts=accounts)
            await self._write(response, frame)
            shown = revision

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        async with asyncio.timeout(_WRITE_S):
            await response.write(data)

    def _frame(self, since: int, *, accounts: bool) -> tuple[int, bytes]:
        board = self._board
        key = (since, board.revision, accounts)
        known, data = self._cached
        if key != known or since == board.revision:
            frame: Frame = changes(board, since, time.time(), accounts=accounts)
            if self._link_revision > since:
                frame.link = self._shown_link
            data = b"data: " + msgspec.json.encode(frame) + b"\n\n"
            self._cached = (key, data)
        return board.revision, data
