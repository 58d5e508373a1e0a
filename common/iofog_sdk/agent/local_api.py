"""REST client of Local API v2, the API that Java ioFog agents serve to their containers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ConnectionLost, RequestRefused
from ..http.hosts import DEFAULT_PORT
from ..http.rest_client import RestClient
from ..links.control import position_members
from ..links.receipts import Receipt
from ..messages.content import decode_json
from ..messages.iomessage import IoMessage
from ..redact import redact_url

if TYPE_CHECKING:
    from .control_socket import ControlSocket
    from .message_socket import MessageSocket


class LocalApiClient:
    """The requests of one microservice to its agent.

    Parameters:
        microservice_id: the UUID this container runs under, as in `SELFNAME`.
        host: the agent's address.
        port: the agent's port.
        timeout_s: limit for each request.
    """

    def __init__(self, microservice_id: str, host: str, port: int = DEFAULT_PORT, *, timeout_s: float = 10.0) -> None:
        if not microservice_id or not microservice_id.isascii() or set(microservice_id) & set("/? #"):
            raise ValueError(
                f"microservice id {redact_url(microservice_id)!r} is not a UUID; "
                "use the value of SELFNAME that the agent sets"
            )
        self.microservice_id = microservice_id
        self.host, self.port = host, port
        self._rest = RestClient(host, port, timeout_s=timeout_s)

    @property
    def description(self) -> str:
        """Where the agent is, for people."""
        return f"ioFog agent at {self.host}:{self.port}, Local API v2"

    async def get_config(self) -> str | None:
        """The microservice's configuration as text; None when it has none.

        Raises LinkError when no usable reply arrived, RequestRefused for an error status.
        """
        try:
            reply = await self._post("/v2/config/get", {"id": self.microservice_id})
        except RequestRefused as refusal:
            if "No configuration found" in refusal.text:
                return None
            raise
        config: str = _read_member(reply, "config", str)
        return config

    async def post_message(self, message: IoMessage) -> Receipt:
        """Sends one message by REST; a message socket is many times cheaper."""
        body = message.to_json()
        body["publisher"] = body["publisher"] or self.microservice_id
        reply = await self._post("/v2/messages/new", body)
        return Receipt(_read_member(reply, "id", str), _read_member(reply, "timestamp", int))

    async def next_messages(self) -> list[IoMessage]:
        """Fetches all queued messages of this microservice; none while its message socket is open."""
        reply = await self._post("/v2/messages/next", {"id": self.microservice_id})
        return [IoMessage.from_json(item) for item in _read_member(reply, "messages", list)]

    async def query_messages(self, start_ms: int, end_ms: int, publishers: Sequence[str]) -> list[IoMessage]:
        """Archived messages of publishers that route to this microservice, both bounds included.

        The agent closes the connection without a reply when one of them has no message in that time; this raises
        ConnectionLost, as it looks the same as a failing agent.
        """
        body = {
            "id": self.microservice_id,
            "timeframestart": start_ms,
            "timeframeend": end_ms,
            "publishers": list(publishers),
        }
        reply = await self._post("/v2/messages/query", body)
        return [IoMessage.from_json(item) for item in _read_member(reply, "messages", list)]

    async def edge_resources(self) -> Any:
        """The edge resources of this node, decoded from the JSON text the agent sends (agents from 3.0)."""
        reply = await self._rest.request("GET", "/v2/edgeResources")
        resources = _read_member(reply, "edgeResources", str)
        try:
            return decode_json(resources or "[]")
        except ValueError as error:
            raise ConnectionLost(f"/v2/edgeResources: {error}") from None

    async def set_position(self, lat: float, lon: float) -> None:
        """Reports the node's position, degrees of WGS 84; the Controller shows it."""
        await self._post("/v2/gps", position_members(lat, lon))

    async def request(self, method: str, path: str) -> Any:
        """Sends one request without a body. Raises IoFogError."""
        return await self._rest.request(method, path)

    async def log(self, message: str, *, warning: bool = False) -> None:
        """Writes a line into the agent's own log."""
        kind = "warning" if warning else "info"
        await self._post("/v2/log", {"id": self.microservice_id, "type": kind, "message": message})

    def message_socket(self, on_message: Callable[[IoMessage], None] | None = None, **options: Any) -> MessageSocket:
        """A message socket, not yet started; options as in MessageSocket."""
        from .message_socket import MessageSocket  # noqa: PLC0415 - agents of 3.7 have none

        return MessageSocket(self.host, self.port, self.microservice_id, on_message=on_message, **options)

    def control_socket(self, on_config_changed: Callable[[], None], **options: Any) -> ControlSocket:
        """A control socket, not yet started; options as in ControlSocket."""
        from .control_socket import ControlSocket  # noqa: PLC0415 - not needed for REST alone

        return ControlSocket(
            self.host, self.port, self.microservice_id, on_config_changed=on_config_changed, **options
        )

    async def close(self) -> None:
        """Closes the REST connection; the caller closes the sockets it made."""
        await self._rest.close()

    async def _post(self, path: str, body: object) -> Any:
        return await self._rest.request("POST", path, body)


def _read_member(reply: Any, name: str, kind: type) -> Any:
    value = reply.get(name) if isinstance(reply, dict) else None
    if not isinstance(value, kind):
        raise ConnectionLost(f"the node's reply has no usable member {name!r}")
    return value
