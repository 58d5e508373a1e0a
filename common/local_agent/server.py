"""TCP connections: HTTP requests, and the turn to WebSocket, with the Java agent's manners."""

from __future__ import annotations

import asyncio
import functools
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11

from iofog_sdk.http import websocket
from iofog_sdk.http.websocket import FrameReader, WebSocketError, encode_close

from .rest import JSON_TYPE, NoReply, Reply
from .sessions import Session, Sockets

if TYPE_CHECKING:
    from .agent import LocalAgent

log = logging.getLogger("local_agent")

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_CONNECTIONS = 1000
_MESSAGE_PATH = "/v2/message/socket"
_CONTROL_PATH = "/v2/control/socket"


class ClientConnection(asyncio.Protocol):
    """One TCP connection of a microservice.

    Parameters:
        agent: whose it is.
    """

    def __init__(self, agent: LocalAgent) -> None:
        self._agent = agent
        self._http = h11.Connection(h11.SERVER)
        self._reader: FrameReader | None = None
        self._sockets: Sockets | None = None
        self._session: Session | None = None
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a server makes nothing else
        self._transport = transport
        self._agent.connections.add(self)
        if len(self._agent.connections) > MAX_CONNECTIONS:
            log.warning("more than %d connections: one refused", MAX_CONNECTIONS)
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._agent.connections.discard(self)
        self._transport = None

    @property
    def microservice_id(self) -> str:
        """Whose socket this is; "" for a connection without a WebSocket."""
        return self._session.microservice_id if self._session else ""

    def abort(self) -> None:
        """Ends the connection as a broken network would."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._agent.faults.hang:
            return
        if self._reader is not None:
            self._frames(data)
            return
        try:
            self._http.receive_data(data)
            self._events()
        except h11.RemoteProtocolError:
            self._close()

    def _events(self) -> None:
        while self._transport is not None:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._request = event
                self._body.clear()
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > MAX_BODY_BYTES:
                    log.warning("request body larger than %d bytes: connection closed", MAX_BODY_BYTES)
                    self._close()
            elif isinstance(event, h11.EndOfMessage):
                assert self._request is not None  # noqa: S101 - h11 gives the request first
                request = self._request
                self._agent.faults.later(functools.partial(self._answer, request))
            else:
                return

    def _answer(self, request: h11.Request) -> None:
        if self._transport is None:
            return
        if self._agent.faults.close_without_reply:
            self._close()
            return
        target = request.target.decode("ascii", "replace")
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        if target.startswith(_MESSAGE_PATH) and self._agent.carries_messages:
            self._shake_hands(headers, self._agent.message_sockets, _token(target.partition("?")[0]))
        elif target.startswith(_CONTROL_PATH):
            self._shake_hands(headers, self._agent.control_sockets, _token(target))
        else:
            method = request.method.decode("ascii")
            try:
                reply = self._agent.rest.handle(method, target, headers.get("content-type"), bytes(self._body))
            except NoReply:
                self._close()
                return
            self._reply(reply)

    def _reply(self, reply: Reply) -> None:
        body = reply.body.encode()
        headers = [("content-length", str(len(body)))]
        if reply.json_header:
            headers.append(("content-type", JSON_TYPE))
        http = self._http
        parts = [
            http.send(
                h11.Response(status_code=reply.status, headers=headers, reason=HTTPStatus(reply.status).phrase)
            ),
            http.send(h11.Data(body)),
            http.send(h11.EndOfMessage()),
        ]
        self._send(b"".join(part for part in parts if part))
        if reply.status != 200 or http.our_state is not h11.DONE or http.their_state is not h11.DONE:
            self._close()
        else:
            http.start_next_cycle()
            self._events()

    def _shake_hands(self, headers: dict[str, str], sockets: Sockets, identity: str) -> None:
        key = headers.get("sec-websocket-key", "")
        if not identity or headers.get("upgrade", "").lower() != "websocket" or not key.isascii():
            return  # never answered, the connection stays open
        session = Session(identity, self._send)
        if headers.get("sec-websocket-version") != "13":
            self._send(b"HTTP/1.1 426 Upgrade Required\r\nsec-websocket-version: 13\r\ncontent-length: 0\r\n\r\n")
            sockets.register(session)  # as it is: the id now counts as connected
            return
        accept = websocket.accept_for(key).encode()
        self._send(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-accept: " + accept + b"\r\n\r\n"
        )
        self._session, self._sockets = session, sockets
        self._reader = FrameReader(masked=True)
        trailing, _ = self._http.trailing_data
        self._loop.call_soon(self._register, trailing)

    def _register(self, trailing: bytes) -> None:
        """The reply to the handshake is out before this: signals in between are missed, as with the Java agent."""
        if self._sockets is not None and self._session is not None:
            self._sockets.register(self._session)
        if trailing:
            self._frames(trailing)

    def _frames(self, data: bytes) -> None:
        assert self._reader is not None  # noqa: S101 - set by the handshake, with the two below
        assert self._sockets is not None  # noqa: S101
        assert self._session is not None  # noqa: S101
        now = self._agent.now()
        try:
            for frame in self._reader.feed(data):
                if not self._sockets.on_frame(self._session, frame, now):
                    self._close()
                    return
        except WebSocketError as error:
            self._send(encode_close(error.code, error.reason, masked=False))
            self._close()

    def _send(self, data: bytes) -> None:
        if self._transport is None:
            return
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        if self._transport is not None and self._out:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _close(self) -> None:
        self._flush()
        if self._transport is not None:
            self._transport.close()


def _token(target: str) -> str:
    """The fifth token of a path, which is the microservice's id; the fourth is not looked at."""
    tokens = target.split("/")
    return tokens[5] if len(tokens) > 5 else ""
