"""One WebSocket connection to the node: handshake, frames in both directions. It is used once and not reopened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import h11

from ..errors import ConnectionLost, NodeUnreachable
from ..links.closing import close_or_abort
from . import websocket
from .frames import PING, PONG
from .hosts import describe_connect_error, resolve_host
from .websocket import Opcode

if TYPE_CHECKING:
    from .service_account import ServiceAccount

_MAX_REFUSAL_BYTES, _MAX_REFUSAL_SHOWN = 4096, 200
"""Limits for the text with which a node refuses a handshake."""


class SocketConnection(asyncio.Protocol):
    """The client's end of one WebSocket.

    Nothing is fragmented, no subprotocol or extension is offered, pings carry exactly `09`, and closing does not
    wait for the node's close frame: the Java agent sends none.

    Parameters:
        host, port, path: what to connect to.
        on_binary: called with the payload of each binary message, in order.
        account: token and TLS, for Edgelet; its pings are binary messages, not WebSocket pings.
        remedies: hints to add to the error, by status of a refused handshake.
    """

    def __init__(
        self,
        host: str,
        port: int,
        path: str,
        on_binary: Callable[[bytes], None],
        account: ServiceAccount | None = None,
        *,
        remedies: Mapping[int, str] | None = None,
    ) -> None:
        self._account, self._remedies = account, remedies or {}
        self._host, self._port, self._path = host, port, path
        self._on_binary = on_binary
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._http: h11.Connection | None = h11.Connection(h11.CLIENT)
        self._key = websocket.new_key()
        self._status: int | None = None
        self._text = b""
        self._reader = websocket.FrameReader()
        self._transport: asyncio.Transport | None = None
        self._upgraded: asyncio.Future[None] = loop.create_future()
        self._outgoing: list[bytes] = []
        self._pongs: list[asyncio.Future[None]] = []
        self._room = asyncio.Event()
        self._room.set()
        self._closed = asyncio.Event()
        self.lost: asyncio.Future[ConnectionLost] = loop.create_future()
        """Done when the connection has ended, with the reason."""

    async def open(self, timeout_s: float) -> None:
        """Connects and performs the handshake. Raises NodeUnreachable; nodes leave some wrong requests unanswered."""
        try:
            async with asyncio.timeout(timeout_s):
                self._host = await resolve_host(self._host)
                tls = self._account.tls() if self._account is not None else {}
                await self._loop.create_connection(lambda: self, self._host, self._port, **tls)
                await self._upgraded
        except TimeoutError:
            self.abort("handshake not answered")
            reason = self._refusal() or f"no handshake within {timeout_s:g} s"
            raise NodeUnreachable(f"{self.address}: {reason}") from None
        except NodeUnreachable:
            self.abort("handshake refused")
            raise
        except OSError as error:
            raise NodeUnreachable(f"{self.address}: {describe_connect_error(error)}") from error
        except asyncio.CancelledError:
            self.abort("cancelled")
            raise

    @property
    def address(self) -> str:
        """The URL, for people."""
        return f"{'ws' if self._account is None else 'wss'}://{self._host}:{self._port}{self._path}"

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return self._transport is not None and not self.lost.done()

    def send_binary(self, payload: bytes) -> None:
        """Queues one message; those of one event loop iteration are sent in one write."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(websocket.encode_frame(Opcode.BINARY, payload))

    async def ping(self, timeout_s: float) -> None:
        """Sends the ping that the node answers and waits for its pong. Raises ConnectionLost when there is none."""
        pong: asyncio.Future[None] = self._loop.create_future()
        self._pongs.append(pong)
        self._write(websocket.encode_frame(Opcode.BINARY if self._account else Opcode.PING, PING))
        try:
            async with asyncio.timeout(timeout_s):
                await pong
        except TimeoutError:
            raise ConnectionLost(f"{self.address}: no pong within {timeout_s:g} s") from None
        finally:
            if pong in self._pongs:
                self._pongs.remove(pong)

    async def wait_for_room(self) -> None:
        """Waits until the send buffer is below its high-water mark, or the connection has ended."""
        await self._room.wait()

    def close(self) -> None:
        """Sends what is queued and a close frame, then closes without waiting for an answer."""
        if self._transport is not None and not self.lost.done():
            if self._http is None:
                self._flush()
                self._write(websocket.encode_close(1000))
            self._transport.close()
        self._end("closed here")

    async def wait_closed(self) -> None:
        """Waits until what is queued is sent and TLS has ended, for two seconds at most."""
        if self._transport is not None:
            await close_or_abort(self._closed.wait(), self._transport.abort)

    def abort(self, reason: str) -> None:
        """Closes the connection at once, without sending anything."""
        if self._transport is not None:
            self._transport.abort()
        self._end(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_connection makes nothing else
        self._transport = transport
        if self.lost.done():  # asyncio ends no TLS handshake whose start was cancelled
            transport.abort()
            return
        assert self._http is not None  # noqa: S101 - set until the handshake is done
        headers = [
            ("Host", f"{self._host}:{self._port}"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", self._key),
            ("Sec-WebSocket-Version", "13"),
        ]
        if self._account is not None:
            try:
                headers.append(self._account.authorization())
            except NodeUnreachable as error:
                self._fail(str(error))
                return
        request = h11.Request(method="GET", target=self._path, headers=headers)
        self._write(self._http.send(request) + (self._http.send(h11.EndOfMessage()) or b""))

    def data_received(self, data: bytes) -> None:
        if self._http is not None:
            data = self._read_handshake(data)
            if not data:
                return
        try:
            frames = self._reader.feed(data)
        except websocket.WebSocketError as error:
            self._write(websocket.encode_close(error.code, error.reason))
            self.abort(f"the node broke the WebSocket protocol: {error.reason}")
            return
        for opcode, payload, final in frames:
            if payload == PONG and opcode == (Opcode.BINARY if self._account else Opcode.PONG):
                for pong in self._pongs:
                    if not pong.done():
                        pong.set_result(None)
            elif payload == PING and opcode == Opcode.BINARY and self._account:
                self.send_binary(PONG)
            elif opcode == Opcode.BINARY and final:
                self._on_binary(payload)
            elif opcode == Opcode.PING:
                answer = PONG if payload == PING else payload
                self._write(websocket.encode_frame(Opcode.PONG, answer))
            elif opcode == Opcode.CLOSE:
                code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
                self.abort(f"the node closed the socket with code {code}")
                return

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()
        self._end(f"connection lost: {exc}" if exc else "the node closed the connection")

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def _read_handshake(self, data: bytes) -> bytes:
        """Parses the reply to the handshake; returns the WebSocket data that followed it."""
        http = self._http
        assert http is not None  # noqa: S101 - only called before the upgrade
        try:
            http.receive_data(data)
            while True:
                event = http.next_event()
                if isinstance(event, h11.Response):
                    self._status = event.status_code
                elif isinstance(event, h11.Data):
                    self._text += event.data
                elif not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
                    break
        except h11.RemoteProtocolError as error:
            self._fail(self._refusal() or f"the node answered the handshake with data that is not HTTP: {error}")
            return b""
        if not isinstance(event, h11.InformationalResponse):
            if event is not h11.NEED_DATA or len(self._text) > _MAX_REFUSAL_BYTES:
                self._fail(self._refusal())
            return b""
        accepted = dict(event.headers).get(b"sec-websocket-accept", b"").decode("ascii", "replace")
        if accepted != websocket.accept_for(self._key):
            self._fail("the node answered the handshake with a wrong Sec-WebSocket-Accept")
            return b""
        trailing, _ = http.trailing_data
        self._http = None
        if not self._upgraded.done():
            self._upgraded.set_result(None)
        return trailing

    def _refusal(self) -> str:
        """What the node replied instead of an upgrade, as far as received; "" before any reply."""
        if self._status is None:
            return ""
        text = self._text[:_MAX_REFUSAL_BYTES].decode("utf-8", "replace")
        text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
        if len(text) > _MAX_REFUSAL_SHOWN:
            text = text[:_MAX_REFUSAL_SHOWN] + "…"
        reason = f"the node refused the handshake: {self._status}" + (f": {text}" if text else "")
        remedy = self._remedies.get(self._status)
        return f"{reason}; {remedy}" if remedy else reason

    def _fail(self, reason: str) -> None:
        if not self._upgraded.done():
            self._upgraded.set_exception(NodeUnreachable(f"{self.address}: {reason}"))

    def _flush(self) -> None:
        if self._outgoing:
            data = b"".join(self._outgoing)
            self._outgoing.clear()
            self._write(data)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self.lost.done():
            self._transport.write(data)

    def _end(self, reason: str) -> None:
        self._room.set()
        self._outgoing.clear()
        error = ConnectionLost(f"{self.address}: {self._refusal() or reason}")
        if not self.lost.done():
            self.lost.set_result(error)
        if not self._upgraded.done():
            self._upgraded.set_exception(NodeUnreachable(str(error)))
            self._upgraded.exception()
        for pong in self._pongs:
            if not pong.done():
                pong.set_exception(error)
