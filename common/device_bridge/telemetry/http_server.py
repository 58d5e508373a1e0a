"""A small HTTP server for health and metrics: GET only, one answer to a connection, bounded in every way."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
from collections.abc import Callable, Mapping
from typing import NamedTuple

import h11

from .listener import Listener

log = logging.getLogger("device_bridge")

MAX_CONNECTIONS = 16
_MAX_HEAD_BYTES = 8 * 1024
_HEAD_S = 2.0
"""Seconds a client has to send its request, and then to take the answer."""
_ANSWER_S = 5.0


class Page(NamedTuple):
    """What a path answers."""

    status: int
    content_type: str
    body: str


class HttpServer:
    """Serves pages made on request.

    A client beyond the most that are served takes the place of the one that has been idle for longest, so that
    clients which say nothing shut no other out.

    Parameters:
        pages: path to a function that makes its page.
    """

    def __init__(self, pages: Mapping[str, Callable[[], Page]]) -> None:
        self._pages = pages
        self._listener = Listener("health and metrics", self._take, self._end_oldest)
        self._connections: dict[asyncio.Task[None], bool] = {}
        """From the oldest to the newest; whether each has sent its request."""

    @property
    def host(self) -> str:
        """Where it listens."""
        return self._listener.host

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return self._listener.port

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port, which matters when 0 asked for any. Raises OSError."""
        return await self._listener.start(host, port)

    async def close(self) -> None:
        """Stops listening; connections end."""
        ending = list(self._connections)
        for task in ending:
            task.cancel()
        await self._listener.close()
        await asyncio.gather(*ending, return_exceptions=True)

    def _take(self, client: socket.socket) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            self._end_oldest()
        task = asyncio.get_running_loop().create_task(self._serve(client))
        self._connections[task] = False
        task.add_done_callback(functools.partial(self._ended, client))

    def _end_oldest(self) -> None:
        idle = (task for task, has_asked in self._connections.items() if not has_asked)
        oldest = next(idle, None) or next(iter(self._connections), None)
        if oldest is not None:
            del self._connections[oldest]
            oldest.cancel()

    def _ended(self, client: socket.socket, task: asyncio.Task[None]) -> None:
        client.close()
        self._connections.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a page could not be made: %s: %s", type(error).__name__, error, exc_info=error)

    async def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(TimeoutError, OSError, h11.ProtocolError):
            async with asyncio.timeout(_HEAD_S) as limit:  # a broken or slow client gets no answer
                http, request = await self._request(client)
                if request is None:
                    return
                if (task := asyncio.current_task()) in self._connections and task is not None:
                    self._connections[task] = True
                limit.reschedule(asyncio.get_running_loop().time() + _ANSWER_S)
                await asyncio.get_running_loop().sock_sendall(client, self._answer(http, request))
                client.shutdown(socket.SHUT_WR)

    async def _request(self, client: socket.socket) -> tuple[h11.Connection, h11.Request | None]:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(await asyncio.get_running_loop().sock_recv(client, _MAX_HEAD_BYTES))
        return http, event if isinstance(event, h11.Request) else None

    def _answer(self, http: h11.Connection, request: h11.Request) -> bytes:
        page = self._page(request)
        body = page.body.encode("utf-8", "backslashreplace")
        headers = [
            ("Content-Type", page.content_type),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        parts = [http.send(h11.Response(status_code=page.status, headers=headers))]
        if request.method != b"HEAD":
            parts.append(http.send(h11.Data(body)))
        return b"".join(part for part in parts if part)

    def _page(self, request: h11.Request) -> Page:
        if request.method not in (b"GET", b"HEAD"):
            return Page(405, "text/plain", "only GET\n")
        path = request.target.partition(b"?")[0].decode("ascii", "replace")
        make = self._pages.get(path)
        if make is None:
            return Page(404, "text/plain", f"known: {', '.join(self._pages)}\n")
        return make()
