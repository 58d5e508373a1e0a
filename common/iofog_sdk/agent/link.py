"""The link to a Java agent that carries messages: ioFog 3.0 to 3.6."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from ..errors import LinkError, MessageError
from ..links.base import Link
from ..links.inbox import Inbox
from ..links.receipts import Outcome
from ..links.split import SplitLink
from ..messages.iomessage import IoMessage
from .control import LocalApiControl
from .local_api import LocalApiClient
from .message_socket import check_for_socket, encode_for_socket


class AgentMessages(Link):
    """Messages over the message socket of Local API v2.

    Parameters:
        client: microservice and agent.
        options: passed to the message socket.
    """

    def __init__(self, client: LocalApiClient, **options: Any) -> None:
        super().__init__()
        self.microservice_id = client.microservice_id
        self.description = client.description
        self._inbox = Inbox()
        self._socket = client.message_socket(self._inbox.push, **options)

    @property
    def connected(self) -> bool:
        return self._socket.connected

    @property
    def last_error(self) -> LinkError | None:
        return None if self.connected else self._socket.last_error

    @property
    def dropped_incoming(self) -> int:
        return self._inbox.dropped

    async def start(self) -> None:
        self._socket.start()

    async def close(self) -> None:
        await self._socket.close()

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        try:
            check_for_socket(body)
        except MessageError as error:
            done(error)
        else:
            self._socket.post(body, done)

    def encode(self, message: IoMessage) -> bytes:
        return encode_for_socket(message)

    async def wait_connected(self) -> None:
        await self._socket.wait_connected()

    async def wait_for_room(self) -> None:
        await self._socket.wait_for_room()

    async def get_config(self) -> str | None:
        return None

    def messages(self) -> AsyncIterator[IoMessage]:
        return self._inbox.messages()


class AgentLink(SplitLink):
    """Local API v2: REST and both sockets of a Java agent.

    Parameters:
        client: microservice and agent.
        receipt_timeout_s: seconds to wait for a receipt before the connection is closed.
        socket_options: passed to both sockets (`backoff`, `ping_interval_s`, `answer_timeout_s`).
    """

    def __init__(self, client: LocalApiClient, *, receipt_timeout_s: float = 15.0, **socket_options: Any) -> None:
        self.client = client
        messages = AgentMessages(client, receipt_timeout_s=receipt_timeout_s, **socket_options)
        super().__init__(LocalApiControl(client, **socket_options), messages)
