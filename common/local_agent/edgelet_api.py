"""EdgeletAPI v1 for microservices: configuration and control over TLS, with tokens that are replaced."""

from __future__ import annotations

import asyncio
import logging
import uuid
from http import HTTPStatus
from pathlib import Path
from typing import Any

import h11
import msgspec

from iofog_sdk.http import frames, websocket
from iofog_sdk.http.websocket import FrameReader, Opcode, WebSocketError, encode_close, encode_frame

from .agent import LocalAgent
from .service_accounts import Authority, ServiceAccounts, TokenRefused

log = logging.getLogger("local_agent")

CONFIG = "/v1/microservices/config"
CONTROL = "/v1/microservices/control"
_OPEN = ("/health/live", "/health/ready", "/metrics")
_ROTATE_BEFORE_S = 120.0
_MAX_CONNECTIONS = 1000
_MAX_BODY_BYTES = 1024 * 1024


class EdgeletApi:
    """Serves the microservices of a local agent as Edgelet would. Use it as an asynchronous context manager.

    Parameters:
        agent: whose configurations these are.
        folder: for certificates and for what is mounted into containers.
        host, port: where it listens; port 0 takes any free one.
        lifetime_s: of a token; it is replaced at four fifths of that, two minutes before its end at the earliest.
    """

    def __init__(
        self, agent: LocalAgent, folder: Path, *, host: str = "127.0.0.1", port: int = 0, lifetime_s: float = 3600.0
    ) -> None:
        self.agent, self._folder, self._host, self.port = agent, folder, host, port
        self.accounts = ServiceAccounts(folder / "serviceaccounts", Authority(folder / "authority-0"), lifetime_s)
        self.connections: set[EdgeletConnection] = set()
        self._authorities = 1
        self._server: asyncio.Server | None = None
        self._rotating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> EdgeletApi:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def variables(self, name: str) -> dict[str, str]:
        """What a container of this microservice is given, and where its API is when it has no names of a bridge."""
        identity = self.agent.id_of(name)
        return {
            "EDGELET_MICROSERVICE_UID": identity,
            "EDGELET_MICROSERVICE_NAME": name,
            "EDGELET_APPLICATION_NAME": "local",
            "EDGELET_SERVICE_ACCOUNT": str(self.accounts.folder_of(identity)),
            "EDGELET_API": f"{self._host}:{self.port}",
        }

    async def start(self) -> None:
        """Listens."""
        loop = asyncio.get_running_loop()
        context = self.accounts.authority.server_context()
        self._server = await loop.create_server(lambda: EdgeletConnection(self), self._host, self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        self._rotating = loop.create_task(self._rotate_for_ever())
        self.agent.config_listeners.append(self.signal_config)

    async def close(self) -> None:
        """Stops listening and drops every connection."""
        self.agent.config_listeners.remove(self.signal_config)
        if self._rotating is not None:
            self._rotating.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop_connections()
        await asyncio.sleep(0)

    async def change_authority(self) -> None:
        """Serves with a certificate of a new authority, and mounts that; connections before are dropped."""
        self.accounts.authority = Authority(self._folder / f"authority-{self._authorities}")
        self._authorities += 1
        self.rotate()
        await self.close()
        await self.start()

    def rotate(self) -> None:
        """Replaces every token."""
        for name in self.agent.config.microservices:
            self.accounts.rotate(self.agent.id_of(name))

    def drop_connections(self) -> None:
        """Breaks them without a word."""
        for connection in list(self.connections):
            connection.abort()

    def signal_config(self, microservice_id: str) -> None:
        """Tells a microservice that its configuration has changed; nothing is repeated."""
        self._signal(frames.CONFIG_CHANGED, microservice_id)

    def signal_limits(self) -> None:
        """Tells all that the node's resource limits have changed."""
        self._signal(0x0F, None)

    def _signal(self, opcode: int, microservice_id: str | None) -> None:
        for connection in self.connections:
            if connection.microservice_id and microservice_id in (None, connection.microservice_id):
                connection.send_binary(bytes([opcode]))

    async def _rotate_for_ever(self) -> None:
        while True:
            lifetime_s = self.accounts.lifetime_s
            await asyncio.sleep(max(lifetime_s * 0.8, lifetime_s - _ROTATE_BEFORE_S))
            self.rotate()
            log.info("service account tokens replaced")


class EdgeletConnection(asyncio.Protocol):
    """One connection of a microservice.

    Parameters:
        api: whose it is.
    """

    def __init__(self, api: EdgeletApi) -> None:
        self._api = api
        self._http = h11.Connection(h11.SERVER)
        self._transport: asyncio.Transport | None = None
        self._request: h11.Request | None = None
        self._size = 0
        self._reader: FrameReader | None = None
        self.microservice_id = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a server makes nothing else
        self._transport = transport
        self._api.connections.add(self)
        if len(self._api.connections) > _MAX_CONNECTIONS:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._api.connections.discard(self)
        self._transport = None

    def abort(self) -> None:
        """Ends the connection as a broken network would."""
        if self._transport is not None:
            self._transport.abort()

    def send_binary(self, payload: bytes) -> None:
        """Sends one message to a control socket."""
        self._write(encode_frame(Opcode.BINARY, payload, masked=False))

    def data_received(self, data: bytes) -> None:
        if self._reader is not None:
            self._frames(data)
            return
        try:
            self._http.receive_data(data)
            self._events()
        except h11.RemoteProtocolError:
            self._close()

    def _events(self) -> None:
        while self._transport is not None and self._reader is None:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._request, self._size = event, 0
            elif isinstance(event, h11.Data):
                self._size += len(event.data)
                if self._size > _MAX_BODY_BYTES:
                    self._close()
            elif isinstance(event, h11.EndOfMessage):
                assert self._request is not None  # noqa: S101 - h11 gives the request first
                self._answer(self._request)
            else:
                return

    def _answer(self, request: h11.Request) -> None:
        path = request.target.decode("ascii", "replace").partition("?")[0]
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        if path in _OPEN:
            self._reply(200, {"success": True, "data": {}})
        elif path == CONTROL:
            self._control(request.method, headers)
        elif path == CONFIG:
            self._config(request.method, headers)
        else:
            self._refuse(404, "NOT_FOUND", "not found")

    def _config(self, method: bytes, headers: dict[str, str]) -> None:
        if method != b"GET":
            self._refuse(405, "METHOD_NOT_ALLOWED", "method not allowed")
            return
        identity = self._identity(headers)
        if isinstance(identity, tuple):
            self._refuse(*identity)
            return
        text = self._api.agent.config_text(identity)
        if text is None or not text.strip():
            self._refuse(404, "NOT_FOUND", "microservice config not found")
            return
        try:
            config: Any = msgspec.json.decode(text)
        except msgspec.DecodeError:
            config = text
        self._reply(200, {"success": True, "data": {"microserviceUuid": identity, "config": config}})

    def _control(self, method: bytes, headers: dict[str, str]) -> None:
        if method != b"GET":
            self._plain(405, "method not allowed")
            return
        identity = self._identity(headers)
        if isinstance(identity, tuple):
            status, _, text = identity
            self._plain(status, text[0].upper() + text[1:] if status == 401 else text)
            return
        key = headers.get("sec-websocket-key", "")
        accept = websocket.accept_for(key).encode()
        self._write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"X-Request-Id: " + headers.get("x-request-id", uuid.uuid4().hex).encode("ascii", "replace") + b"\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self.microservice_id = identity
        self._reader = FrameReader(masked=True)
        trailing, _ = self._http.trailing_data
        if trailing:
            self._frames(trailing)

    def _identity(self, headers: dict[str, str]) -> str | tuple[int, str, str]:
        """The microservice that asks, or the refusal."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return 401, "UNAUTHORIZED", "missing bearer token"
        try:
            identity = self._api.accounts.identity_of(token)
        except TokenRefused:
            return 401, "UNAUTHORIZED", "invalid JWT token"
        if not identity:
            return 403, "FORBIDDEN", "microservice identity claim is required"
        return identity

    def _frames(self, data: bytes) -> None:
        assert self._reader is not None  # noqa: S101 - set by the handshake
        try:
            for opcode, payload, _ in self._reader.feed(data):
                if opcode == Opcode.PING:
                    self._write(encode_frame(Opcode.PONG, payload, masked=False))
                elif opcode == Opcode.BINARY and payload == frames.PING:
                    self.send_binary(frames.PONG)
                elif opcode == Opcode.CLOSE:
                    self._write(encode_close(1000, "", masked=False))
                    self._close()
                    return
        except WebSocketError as error:
            self._write(encode_close(error.code, error.reason, masked=False))
            self._close()

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._reply(status, {"success": False, "error": {"code": code, "message": message}})

    def _plain(self, status: int, text: str) -> None:
        self._send(status, f"{text}\n".encode(), "text/plain; charset=utf-8")

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, msgspec.json.encode(body), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        http = self._http
        headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        response = h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase)
        parts = (http.send(response), http.send(h11.Data(body)), http.send(h11.EndOfMessage()))
        self._write(b"".join(part for part in parts if part))
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
        else:
            self._close()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
