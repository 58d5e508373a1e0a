"""aiohttp's server, and below it what real nodes do on a connection that aiohttp has no setting for.

Nodes route, validate and answer by rules of their own, so all requests go to one function and aiohttp's router has
no part in it. aiohttp supplies the codecs: HTTP, WebSocket and TLS that share no code with `iofog_sdk`.
"""

from __future__ import annotations

import abc
import asyncio
import functools
import logging
import ssl
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

log = logging.getLogger("local_agent")

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_CONNECTIONS = 1000
_MASK_BYTES = 4
_PROTOCOL_ERROR = (1002).to_bytes(2, "big")


class NodeServer(abc.ABC):
    """A server for microservices. Use it as an asynchronous context manager.

    Parameters:
        host, port: where it listens; port 0 takes any free one, which is then in `port`.
    """

    idle_timeout_s = 1e9
    """Seconds after which a connection without a request is closed: the Java agent has no such limit."""
    request_timeout_s: float | None = None
    """Seconds for a request to arrive, and again for its response; then the connection is closed. A WebSocket has no
    such limit once it is open."""
    joins_fragments = False
    """Whether fragmented WebSocket messages are joined; otherwise they are dropped."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._background: asyncio.Task[None] | None = None

    @abc.abstractmethod
    async def respond(self, request: web.Request) -> web.StreamResponse:
        """The response to any request. It is cancelled when the connection has ended."""

    @abc.abstractmethod
    async def run_in_background(self) -> None:
        """Runs while it listens."""

    def tls(self) -> ssl.SSLContext | None:
        """For the listener; none for plain text."""
        return None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Listens. Raises OSError."""

        @web.middleware
        async def respond(request: web.Request, handler: object) -> web.StreamResponse:
            connection = request.protocol
            assert isinstance(connection, Connection)  # noqa: S101 - made below
            connection.has_request(True)
            try:
                async with asyncio.timeout(self.request_timeout_s) as connection.limit:
                    return await self.respond(request)
            except TimeoutError:
                return await close_without_reply(request)
            finally:
                connection.has_request(False)

        application = web.Application(middlewares=[respond], client_max_size=MAX_BODY_BYTES)
        application.on_response_prepare.append(_remove_own_headers)
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        assert self._runner.server is not None  # noqa: S101 - setup has made it
        connection = functools.partial(Connection, self, self._runner.server)
        self._listener = await loop.create_server(connection, self.host, self.port, ssl=self.tls())
        self.port = self._listener.sockets[0].getsockname()[1]
        self._background = loop.create_task(self.run_in_background())

    async def close(self) -> None:
        """Stops listening and drops every connection."""
        if self._background is not None:
            self._background.cancel()
        if self._listener is not None:
            self._listener.close()
        self.drop_connections()
        await asyncio.sleep(0)  # lets transports report their end
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def is_listening(self) -> bool:
        """Whether it takes connections."""
        return self._listener is not None and self._listener.is_serving()

    @property
    def connections(self) -> list[Connection]:
        """TCP connections that are open."""
        server = self._runner.server if self._runner is not None else None
        return [each for each in server.connections if isinstance(each, Connection)] if server is not None else []

    def drop_connections(self, name: str | None = None) -> None:
        """Aborts TCP connections without a close frame: all, or the sockets of one microservice."""
        identity = None if name is None else self.id_of(name)
        for connection in self.connections:
            if identity in (None, connection.microservice_id):
                connection.abort()

    @abc.abstractmethod
    def id_of(self, name: str) -> str:
        """The UUID of a microservice. Raises ConfigError for an unknown name."""


class Connection(web.RequestHandler):
    """One TCP connection.

    Parameters:
        node: what it leads to.
        server: aiohttp's part of that.
    """

    def __init__(self, node: NodeServer, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=node.idle_timeout_s,
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type] # documented, not declared
        )
        self._node = node
        self._arrival: asyncio.TimerHandle | None = None
        self._has_request = False
        self.limit = asyncio.timeout(None)
        """Of the request that is answered."""
        self.microservice_id = ""
        """The microservice of this WebSocket; empty for a connection without one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._node.connections) > MAX_CONNECTIONS:
            log.warning("more than %d connections: one refused", MAX_CONNECTIONS)
            self.abort()
        self._expect_request()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.has_request(True)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._expect_request()
        super().data_received(data)

    def has_request(self, has_request: bool) -> None:
        """Says whether a request is being answered: the time limit for its arrival is over then."""
        self._has_request = has_request
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _expect_request(self) -> None:
        limit_s = self._node.request_timeout_s
        if limit_s is not None and not self._has_request and self._arrival is None:
            self._arrival = asyncio.get_running_loop().call_later(limit_s, self.abort)

    def abort(self) -> None:
        """Aborts the connection, as a broken network would."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """aiohttp logs a traceback for each request that is not HTTP, and answers it; here it is only closed."""
        if status != 400:
            return super().handle_error(request, status, exc, message)
        log.debug("not HTTP, connection closed: %s", exc)
        self.force_close()
        return web.Response()  # the connection is closed: nothing of it is written

    def set_parser(self, parser: Any, data_received_cb: Callable[[], None] | None = None) -> None:
        """Called by aiohttp when a WebSocket has been opened."""
        super().set_parser(_FrameFilter(parser, self, self._node.joins_fragments), data_received_cb)  # type: ignore[arg-type]


class _FrameFilter:
    """Filters what a socket passes to aiohttp's WebSocket parser, by the headers of frames.

    That parser takes unmasked frames of a client, which nodes answer by a close frame with a text, and it always
    joins fragments, which the Java agent drops.
    """

    def __init__(self, parser: Any, connection: Connection, joins_fragments: bool) -> None:
        self._parser, self._connection, self._joins_fragments = parser, connection, joins_fragments
        self._header = b""
        self._left = 0
        self._passing = True

    def feed_eof(self) -> None:
        self._parser.feed_eof()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        data, self._header = self._header + data, b""
        passed: list[bytes] = []
        at = 0
        while at < len(data):
            if not self._left:
                size = data[at + 1] & 0x7F if len(data) > at + 1 else 0
                extra = {126: 2, 127: 8}.get(size, 0)
                if len(data) < at + 2 + extra:
                    self._header = data[at:]
                    break
                if data[at + 1] < 0x80:
                    self._parser.feed_data(b"".join(passed))
                    return self._refuse(b"received a frame that is not masked")
                if extra:
                    size = int.from_bytes(data[at + 2 : at + 2 + extra], "big")
                self._left = 2 + extra + _MASK_BYTES + size
                self._passing = self._joins_fragments or (data[at] >= 0x80 and data[at] & 0x0F != 0)
            end = min(len(data), at + self._left)
            if self._passing:
                passed.append(data[at:end])
            self._left -= end - at
            at = end
        fed: tuple[bool, bytes] = self._parser.feed_data(b"".join(passed))
        return fed

    def _refuse(self, text: bytes) -> tuple[bool, bytes]:
        if self._connection.transport is not None:
            self._connection.transport.write(bytes((0x88, 2 + len(text))) + _PROTOCOL_ERROR + text)
            self._connection.transport.close()
        return True, b""


async def open_socket(socket: web.WebSocketResponse, request: web.Request, microservice_id: str) -> None:
    """Does the WebSocket handshake for a microservice. Raises HTTPBadRequest."""
    if not request.headers.get("Sec-WebSocket-Key", "").isascii():
        raise web.HTTPBadRequest  # aiohttp's own check fails with a traceback
    await socket.prepare(request)
    if isinstance(request.protocol, Connection):
        request.protocol.microservice_id = microservice_id
        request.protocol.limit.reschedule(None)


async def never() -> web.StreamResponse:
    """Never responds; cancelled when the connection ends."""
    await asyncio.Event().wait()
    raise AssertionError("nothing sets this event")


async def close_without_reply(request: web.Request) -> web.StreamResponse:
    """Closes the connection instead of responding, which aiohttp has no setting for."""
    if request.transport is not None:
        request.transport.close()
    return await never()


async def _remove_own_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name in ("Server", "Date"):
        response.headers.popall(name, None)
    if response.headers.get("Content-Type") == "application/octet-stream":  # aiohttp's own, where none is set
        del response.headers["Content-Type"]
