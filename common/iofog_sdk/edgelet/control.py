"""Configuration and signals by EdgeletAPI v1; the messages of such a node go over NATS."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from ..errors import ConnectionLost, RequestRefused
from ..http import frames
from ..http.hosts import DEFAULT_PORT, EDGELET_HOST
from ..http.reconnecting_websocket import ReconnectingSocket
from ..http.rest_client import RestClient
from ..http.service_account import ServiceAccount
from ..links.control import Control, position_members
from ..messages.content import decode_json

log = logging.getLogger("iofog_sdk")

_CONFIG = "/v1/microservices/config"
_CONTROL = "/v1/microservices/control"
_POSITION = "/v1/system/gps"
_NOT_FOUND, _FORBIDDEN = 404, 403
_NO_CONFIG = "NOT_FOUND"
"""In the envelope; a 404 without one comes from something that has no such route, as an older API or a proxy."""
_MISSING_RIGHT = "its role lacks {}"
_LIMITS_CHANGED = 0x0F
"""The node's resource limits; Java agents use the same number for edge resources."""


class _Error(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class _Refusal(msgspec.Struct):
    error: _Error = _Error()


class EdgeletClient:
    """The requests of one microservice.

    Parameters:
        account: token and certificate authority.
        host, port: where the node listens.
        timeout_s: limit for each request.
    """

    def __init__(
        self, account: ServiceAccount, host: str = EDGELET_HOST, port: int = DEFAULT_PORT, *, timeout_s: float = 15.0
    ) -> None:
        self.account, self.host, self.port = account, host, port
        self._rest = RestClient(host, port, timeout_s=timeout_s, account=account)

    async def get_config(self) -> str | None:
        """The configuration as text; None when the node says that there is none.

        Raises IoFogError, also for a 404 that is not the node's word on this microservice.
        """
        try:
            reply = await self._rest.request("GET", _CONFIG)
        except RequestRefused as refusal:
            if refusal.status == _NOT_FOUND and _parse_error(refusal.text).code == _NO_CONFIG:
                return None
            raise _explained(refusal, "microservices/config/self") from None
        try:
            config = reply["data"]["config"]
        except (KeyError, TypeError):
            raise ConnectionLost(f"{_CONFIG}: the node's reply has no data.config") from None
        return config if isinstance(config, str) else msgspec.json.encode(config).decode()

    async def set_position(self, lat: float, lon: float) -> None:
        """Reports the node's position, degrees of WGS 84; the role of a microservice does not allow it by default."""
        try:
            await self._rest.request("POST", _POSITION, position_members(lat, lon))
        except RequestRefused as refusal:
            raise _explained(refusal, "system/gps with create") from None

    async def close(self) -> None:
        """Closes the HTTP connection."""
        await self._rest.close()


class EdgeletControlSocket(ReconnectingSocket):
    """Receives the node's signals.

    Parameters:
        client: node and account.
        on_config_changed: called after every signal, and after every connect.
        options: passed to ReconnectingSocket.
    """

    def __init__(self, client: EdgeletClient, on_config_changed: Callable[[], None], **options: Any) -> None:
        super().__init__(
            client.host,
            client.port,
            _CONTROL,
            name="control socket",
            account=client.account,
            remedies={_FORBIDDEN: _MISSING_RIGHT.format("microservices/control/self")},
            **options,
        )
        self._on_config_changed = on_config_changed

    def _on_up(self) -> None:
        self._on_config_changed()

    def _on_binary(self, payload: bytes) -> None:
        opcode = payload[0] if payload else None
        if opcode == frames.CONFIG_CHANGED:
            if self._connection is not None:
                self._connection.send_binary(frames.ACK)
            self._on_config_changed()
        elif opcode == _LIMITS_CHANGED:
            log.info("the node's resource limits have changed")


class EdgeletControl(Control):
    """Configuration by EdgeletAPI v1.

    Parameters:
        client: node and account.
        microservice_id: given by the platform.
        socket_options: passed to the control socket.
    """

    def __init__(self, client: EdgeletClient, microservice_id: str, **socket_options: Any) -> None:
        super().__init__()
        self.client, self.microservice_id = client, microservice_id
        self.description = f"Edgelet at {client.host}:{client.port}, EdgeletAPI v1"
        self._socket = EdgeletControlSocket(client, self.refresh, **socket_options)

    @property
    def socket(self) -> ReconnectingSocket:
        return self._socket

    async def get_config(self) -> str | None:
        return await self.client.get_config()

    async def set_position(self, lat: float, lon: float) -> None:
        await self.client.set_position(lat, lon)

    async def close(self) -> None:
        await super().close()
        await self.client.close()


def _explained(refusal: RequestRefused, right: str) -> RequestRefused:
    error = _parse_error(refusal.text)
    remedy = f"; {_MISSING_RIGHT.format(right)}" if refusal.status == _FORBIDDEN else ""
    return RequestRefused(refusal.route, refusal.status, f"{error.code} {error.message}{remedy}".strip())


def _parse_error(text: str) -> _Error:
    try:
        return decode_json(text, _Refusal).error
    except ValueError:
        return _Error(message=text)  # written by something else than Edgelet, such as a proxy
