"""A small HTTP server for health and metrics: GET only, one answer to a connection, bounded in every way."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import socket
from collections.abc import Callable, Mapping
from typing import NamedTuple

import h11

from iofog_sdk.links import run_always

log = logging.getLogger("device_bridge")

MAX_CONNECTIONS = 16
_MAX_HEAD_BYTES = 8 * 1024
_HEAD_S = 2.0
"""Seconds a client has to send its request, and then to take the answer."""
_ANSWER_S = 5.0
_RETRY_S = 1.0
_GONE_S = 0.01
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


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
        self.host, self.port = "", 0
        self._listeners: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._connections: dict[asyncio.Task[None], bool] = {}
        """From the oldest to the newest; whether each has sent its request."""

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port, which matters when 0 asked for any. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listeners: list[socket.socket] = []
        try:
            for family, _, _, _, address in dict.fromkeys(found):
                listeners.append(socket.create_server(address[:2], family=family, backlog=64))
        except OSError:
            for listener in listeners:
                listener.close()
            raise
        self.host, self.port = host, listeners[0].getsockname()[1]
        for listener in listeners:
            listener.setblocking(False)
        self._listeners = listeners
        self._accepting = [
            loop.create_task(run_always("health and metrics", functools.partial(self._accept, listener)))
            for listener in listeners
        ]
        return self.port

    async def close(self) -> None:
        """Stops listening; connections end."""
        ending, self._accepting = [*self._accepting, *self._connections], []
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for listener in self._listeners:
            listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop, is_exhausted = asyncio.get_running_loop(), False
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    await asyncio.sleep(_GONE_S)  # that client is gone already, or none is let in
                    continue
                if not is_exhausted:
                    log.error("health and metrics cannot be served for now: %s", error.strerror)
                is_exhausted = True
                self._end_oldest()
                await asyncio.sleep(_RETRY_S)
                continue
            if is_exhausted:
                log.info("health and metrics are served again")
                is_exhausted = False
            if len(self._connections) >= MAX_CONNECTIONS:
                self._end_oldest()
            task = loop.create_task(self._serve(client))
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
            client.setblocking(False)  # a broken or slow client gets no answer
            async with asyncio.timeout(_HEAD_S) as limit:
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
