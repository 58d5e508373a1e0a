"""EdgeletAPI v1 for microservices: configuration and control over TLS, with tokens that are replaced.

Order of checks, texts and codes are those of Edgelet's `internal/edgeletapi`: authentication and RBAC come before the
method for the configuration, behind it for the control socket, which also answers plain text instead of the envelope.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import jwt
import msgspec
from aiohttp import WSMsgType, web

from iofog_sdk.messages import decode_json

from .agent import LocalAgent
from .server import NodeServer, open_socket
from .service_accounts import Authority, ServiceAccounts, identity_of, is_allowed
from .sessions import CONFIG_CHANGED, PING, PONG, Session

log = logging.getLogger("local_agent")

CONFIG = "/v1/microservices/config"
CONTROL = "/v1/microservices/control"
POSITION = "/v1/system/gps"
_OPEN = ("/health/live", "/health/ready", "/metrics")
_LIMITS_CHANGED = b"\x0f"
_ROTATE_BEFORE_S = 120.0
_REQUEST_ID = "X-Request-Id"
_BEARER = "Bearer "
_VERBS = {"POST": "create", "PATCH": "update", "PUT": "update"}


class EdgeletApi(NodeServer):
    """Serves the microservices of a local agent as Edgelet would. Use it as an asynchronous context manager.

    Parameters:
        agent: whose configurations these are.
        folder: for certificates and for what is mounted into containers.
        host, port: where it listens; port 0 takes any free one.
        lifetime_s: of a token; it is replaced at four fifths of that, two minutes before its end at the earliest.
    """

    idle_timeout_s = 60.0
    request_timeout_s = 15.0
    joins_fragments = True

    def __init__(
        self, agent: LocalAgent, folder: Path, *, host: str = "127.0.0.1", port: int = 0, lifetime_s: float = 3600.0
    ) -> None:
        super().__init__(host, port)
        self.agent, self._folder = agent, folder
        self.accounts = ServiceAccounts(
            folder / "serviceaccounts",
            Authority(folder / "authority-0"),
            lifetime_s,
            self._sets_position,
        )
        self._authorities = 1
        self._sessions: dict[str, Session] = {}
        agent.config_listeners.append(self.signal_config)

    def variables(self, name: str) -> dict[str, str]:
        """What a container of this microservice is given, and where its API is when it has no names of a bridge."""
        identity = self.agent.id_of(name)
        return {
            "EDGELET_MICROSERVICE_UID": identity,
            "EDGELET_MICROSERVICE_NAME": name,
            "EDGELET_APPLICATION_NAME": "local",
            "EDGELET_SERVICE_ACCOUNT": str(self.accounts.folder_of(identity)),
            "EDGELET_API": f"{self.host}:{self.port}",
        }

    def _sets_position(self, identity: str) -> bool:
        return self.agent.config.sets_position(identity)

    def id_of(self, name: str) -> str:
        return self.agent.id_of(name)

    def tls(self) -> ssl.SSLContext:
        return self.accounts.authority.server_context()

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

    def signal_config(self, microservice_id: str) -> None:
        """Signals a microservice that its configuration has changed; nothing is repeated."""
        if microservice_id in self._sessions:
            self._sessions[microservice_id].send_binary(CONFIG_CHANGED)

    def signal_limits(self) -> None:
        """Signals all that the node's resource limits have changed."""
        for session in self._sessions.values():
            session.send_binary(_LIMITS_CHANGED)

    async def run_in_background(self) -> None:
        while True:
            lifetime_s = self.accounts.lifetime_s
            await asyncio.sleep(max(lifetime_s * 0.8, lifetime_s - _ROTATE_BEFORE_S))
            self.rotate()
            log.info("service account tokens replaced")

    async def respond(self, request: web.Request) -> web.StreamResponse:
        if request.path in _OPEN:
            return _envelope(200, {"success": True, "data": {}})
        if request.path == CONTROL:
            return await self._control(request)
        if (answer := {CONFIG: self._config, POSITION: self._system_gps}.get(request.path)) is not None:
            response = await answer(request)
            response.headers[_REQUEST_ID] = _request_id(request)
            return response
        return _plain(404, "404 page not found")

    def _claims(self, request: web.Request) -> dict[str, Any] | str:
        """What the token of a request says, or why it is refused."""
        authorization = request.headers.get("Authorization", "")
        if not authorization.startswith(_BEARER):
            return "missing bearer token"
        token = authorization.removeprefix(_BEARER).strip()
        if not token:
            return "missing JWT token"
        try:
            return self.accounts.claims_of(token)
        except (jwt.InvalidTokenError, UnicodeError):
            return "invalid JWT token"

    def _allowed(self, request: web.Request, resource: str) -> dict[str, Any] | web.Response:
        """What the token of a request says, or the refusal."""
        claims = self._claims(request)
        if isinstance(claims, str):
            return refusal(401, "UNAUTHORIZED", claims)
        if not is_allowed(claims, resource, _VERBS.get(request.method, request.method.lower())):
            return refusal(403, "FORBIDDEN", "request is not allowed by RBAC policy")
        return claims

    async def _config(self, request: web.Request) -> web.Response:
        claims = self._allowed(request, "microservices/config/self")
        if isinstance(claims, web.Response):
            return claims
        identity = identity_of(claims)
        if not identity:
            return refusal(403, "FORBIDDEN", "microservice identity claim is required")
        text = self.agent.config.config_texts().get(identity)
        if text is None or not text.strip():
            return refusal(404, "NOT_FOUND", "microservice config not found")
        try:
            config = decode_json(text)
        except ValueError:
            config = text
        return _envelope(200, {"success": True, "data": {"microserviceUuid": identity, "config": config}})

    async def _system_gps(self, request: web.Request) -> web.Response:
        claims = self._allowed(request, "system/gps")
        if isinstance(claims, web.Response):
            return claims
        if request.method == "POST":
            try:
                members = decode_json(await request.read(), dict[str, Any])
            except ValueError:
                return refusal(400, "INVALID_ARGUMENT", "invalid JSON body")
            for name in ("lat", "lon"):
                if not str(members.get(name) or "").strip():
                    return refusal(400, "INVALID_ARGUMENT", f"{name} is required")
            self.agent.position = {name: str(members[name]) for name in ("lat", "lon")}
        elif request.method != "GET":
            return refusal(405, "METHOD_NOT_ALLOWED", "method not allowed")
        found = {name: value or "0" for name, value in self.agent.position.items()}
        data = {"status": "okay", "timestamp": self.agent.bus.now_ms(), **found}
        return _envelope(200, {"success": True, "data": data})

    async def _control(self, request: web.Request) -> web.StreamResponse:
        identity = self._refused_or_identity(request)
        if isinstance(identity, web.Response):
            identity.headers[_REQUEST_ID] = _request_id(request)
            return identity
        socket = web.WebSocketResponse(compress=False, decode_text=False, timeout=0)
        socket.headers[_REQUEST_ID] = _request_id(request)
        await open_socket(socket, request, identity)
        session = Session(identity, Counter())
        try:
            async with session.writing_to(socket):
                self._sessions[identity] = session
                while (message := await socket.receive()).type in (WSMsgType.BINARY, WSMsgType.TEXT):
                    if message.type is WSMsgType.BINARY and message.data[:1] == PING:
                        session.send_binary(PONG)
        finally:
            # Whichever is registered, a newer one as well: no signals until the next connect, as on Edgelet.
            self._sessions.pop(identity, None)
        return socket

    def _refused_or_identity(self, request: web.Request) -> web.Response | str:
        if request.method != "GET":
            return _plain(405, "method not allowed")
        claims = self._claims(request)
        if isinstance(claims, str):
            return _plain(401, claims[0].upper() + claims[1:])
        identity = identity_of(claims)
        if not identity:
            return _plain(403, "microservice identity claim is required")
        if not is_allowed(claims, "microservices/control/self", "get"):
            return _plain(403, "forbidden")
        return identity


def refusal(status: int, code: str, message: str) -> web.Response:
    """An error in the envelope of EdgeletAPI."""
    return _envelope(status, {"success": False, "error": {"code": code, "message": message}})


def _envelope(status: int, body: dict[str, Any]) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


def _plain(status: int, text: str) -> web.Response:
    """As Go's http.Error writes it."""
    return web.Response(status=status, text=f"{text}\n", headers={"X-Content-Type-Options": "nosniff"})


def _request_id(request: web.Request) -> str:
    return request.headers.get(_REQUEST_ID, "").encode("ascii", "replace").decode().strip() or str(uuid.uuid4())
