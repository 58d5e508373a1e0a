"""A small HTTP server for health and metrics: GET only, one answer to a connection, bounded in every way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import h11

_MAX_CONNECTIONS = 16
_MAX_HEAD_BYTES = 8 * 1024
_TIMEOUT_S = 5.0


class Page(NamedTuple):
    """What a path answers."""

    status: int
    content_type: str
    body: str


class HttpServer:
    """Serves pages made on request.

    Parameters:
        pages: path to a function that makes its page.
    """

    def __init__(self, pages: Mapping[str, Callable[[], Page]]) -> None:
        self._pages = pages
        self._server: asyncio.Server | None = None
        self.host, self.port = "", 0
        self._open = 0

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port, which matters when 0 asked for any. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=_MAX_HEAD_BYTES)
        self.host, self.port = host, self._server.sockets[0].getsockname()[1]
        return self.port

    async def close(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= _MAX_CONNECTIONS:
                async with asyncio.timeout(_TIMEOUT_S):
                    await self._answer(reader, writer)
        except (TimeoutError, OSError, h11.ProtocolError):
            pass  # a broken or slow client gets no answer
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(await reader.read(_MAX_HEAD_BYTES))
        if not isinstance(event, h11.Request):
            return
        page = self._page(event)
        body = page.body.encode()
        headers = [
            ("Content-Type", page.content_type),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        parts = [http.send(h11.Response(status_code=page.status, headers=headers))]
        if event.method != b"HEAD":
            parts.append(http.send(h11.Data(body)))
        writer.write(b"".join(part for part in parts if part))
        await writer.drain()

    def _page(self, request: h11.Request) -> Page:
        if request.method not in (b"GET", b"HEAD"):
            return Page(405, "text/plain", "only GET\n")
        path = request.target.partition(b"?")[0].decode("ascii", "replace")
        make = self._pages.get(path)
        if make is None:
            return Page(404, "text/plain", f"known: {', '.join(self._pages)}\n")
        return make()
