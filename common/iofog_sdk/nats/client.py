"""nats-py's client, with what it lacks over TLS, and when one of its tasks ends."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import ParseResult

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport, Transport
from nats.errors import Error

log = logging.getLogger("iofog_sdk")


class NatsClient(Client):
    """Refuses a server without TLS if the URL is `tls://`: nats-py would go on in plain text."""

    _transport: Transport | None
    _on_end: Callable[[Exception], None] | None = None

    def watch(self, on_end: Callable[[Exception], None]) -> None:
        """Calls this when a task of the library ends while connected; the connection would go on without it.

        Its reading, writing and pings, and the callbacks of the subscriptions, each have one.
        """
        self._on_end = on_end
        for task in (self._reading_task, self._flusher_task, self._ping_interval_task):
            self._watch(task)

    async def subscribe(self, *arguments: Any, **options: Any) -> Subscription:
        subscription = await super().subscribe(*arguments, **options)
        self._watch(subscription._wait_for_msgs_task)
        return subscription

    def _watch(self, task: asyncio.Task[None] | None) -> None:
        if task is not None:
            task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._on_end is not None and self.is_connected:
            if error is not None:
                log.error("NATS: unexpected error; reconnecting", exc_info=error)
            self._on_end(Error(f"a task of the connection has ended: {error!r}"))

    def abort(self) -> None:
        """Closes the socket, which nats-py leaves open when its own closing is cut short."""
        if isinstance(self._transport, TcpTransport):
            for writer in (self._transport._io_writer, self._transport._bare_io_writer):
                if writer is not None:
                    writer.transport.abort()

    async def _process_connect_init(self) -> None:
        if isinstance(self._transport, TcpTransport):
            self._transport = _Transport(self._transport)
        await super()._process_connect_init()

    def _connect_command(self) -> bytes:
        info, server = self._server_info, self._current_server
        if server is not None and server.uri.scheme == "tls" and not info.get("tls_required"):
            raise Error("the server does not offer TLS; no credentials were sent")
        return super()._connect_command()


class _Transport(TcpTransport):
    """Goes over to TLS with a protocol that is made for it.

    nats-py takes one that asks to keep the connection half open when the server has ended it; asyncio logs a warning
    about that each time.
    """

    def __init__(self, plain: TcpTransport) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        vars(self).update(vars(plain))

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        plain, self._io_writer = self._io_writer, None  # one whose TLS has failed is not waited for to close
        assert plain is not None  # noqa: S101 - connected
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=buffer_size)
        protocol = _TlsProtocol(reader)
        name = uri if isinstance(uri, str) else uri.hostname
        try:
            async with asyncio.timeout(connect_timeout):
                transport = await loop.start_tls(plain.transport, protocol, ssl_context, server_hostname=name)
        except BaseException:
            plain.transport.abort()
            raise
        assert transport is not None  # noqa: S101 - it raises otherwise
        self._io_reader, self._io_writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class _TlsProtocol(asyncio.StreamReaderProtocol):
    def eof_received(self) -> bool:
        super().eof_received()
        return False
