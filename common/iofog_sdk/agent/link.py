"""Links of nodes that give configuration by one interface and carry messages by the same or another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from ..errors import ConnectionLost, LinkError, RequestRefused
from ..links.backoff import Backoff
from ..links.base import Link
from ..links.receipts import Outcome
from ..messages.iomessage import IoMessage
from .control import Control, LocalApiControl
from .local_api import LocalApiClient
from .sockets import encode_for_socket

log = logging.getLogger("iofog_sdk")

_INBOX_LIMIT = 1000
_MESSAGES = "/v2/messages/next"
_NOT_FOUND, _WRONG_METHOD = 404, 405


class AgentMessages(Link):
    """The message socket of Local API v2.

    Parameters:
        client: for which microservice, and where its agent listens.
        options: passed on to the socket.
    """

    def __init__(self, client: LocalApiClient, **options: Any) -> None:
        super().__init__()
        self.microservice_id = client.microservice_id
        self.description = f"ioFog agent at {client.host}:{client.port}, Local API v2"
        self._inbox: asyncio.Queue[IoMessage] = asyncio.Queue()
        self._socket = client.message_socket(self._take, **options)

    @property
    def connected(self) -> bool:
        return self._socket.connected

    @property
    def last_error(self) -> LinkError | None:
        return None if self.connected else self._socket.last_error

    async def start(self) -> None:
        self._socket.start()

    async def close(self) -> None:
        await self._socket.close()

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        self._socket.post(body, done)

    def encode(self, message: IoMessage) -> bytes:
        return encode_for_socket(message)

    async def wait_connected(self) -> None:
        await self._socket.wait_connected()

    async def wait_for_room(self) -> None:
        await self._socket.wait_for_room()

    async def get_config(self) -> str | None:
        return None

    async def messages(self) -> AsyncIterator[IoMessage]:
        while True:
            message = await self._inbox.get()
            if self._inbox.qsize() == _INBOX_LIMIT // 2:
                self._socket.resume_reading()
            yield message

    def _take(self, message: IoMessage) -> None:
        self._inbox.put_nowait(message)
        if self._inbox.qsize() == _INBOX_LIMIT:
            self._socket.pause_reading()


class SplitLink(Link):
    """Configuration by one way, messages by another.

    Parameters:
        control: for the configuration.
        data: for messages; None while it is being found out.
    """

    def __init__(self, control: Control, data: Link | None) -> None:
        super().__init__()
        self._control, self._data = control, data
        self._found = asyncio.Event()
        self.microservice_id = control.microservice_id
        self.description = self._described()

    def _described(self) -> str:
        if self._data is None or self._data.description == self._control.description:
            return self._control.description
        return f"{self._data.description}; settings from {self._control.description}"

    @property
    def connected(self) -> bool:
        return self._data is not None and self._data.connected

    @property
    def last_error(self) -> LinkError | None:
        return self._data.last_error if self._data is not None else self._control.socket.last_error

    async def start(self) -> None:
        self._control.on_config = lambda config: self.on_config(config) if self.on_config is not None else None
        await self._control.start()
        if self._data is not None:
            await self._use(self._data)

    async def _use(self, data: Link) -> None:
        self._data = data
        self.description = self._described()
        await data.start()
        self._found.set()

    async def close(self) -> None:
        await self._control.close()
        if self._data is not None:
            await self._data.close()

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        assert self._data is not None  # noqa: S101 - nobody posts while not connected
        self._data.post(body, done)

    def encode(self, message: IoMessage) -> bytes:
        return super().encode(message) if self._data is None else self._data.encode(message)

    async def wait_connected(self) -> None:
        await self._found.wait()
        assert self._data is not None  # noqa: S101 - found
        await self._data.wait_connected()

    async def wait_for_room(self) -> None:
        if self._data is not None:
            await self._data.wait_for_room()

    async def get_config(self) -> str | None:
        return await self._control.get_config()

    async def messages(self) -> AsyncIterator[IoMessage]:
        await self._found.wait()
        assert self._data is not None  # noqa: S101 - found
        async for message in self._data.messages():
            yield message

    async def log(self, message: str, *, warning: bool = False) -> None:
        await self._control.log(message, warning=warning)


class AgentLink(SplitLink):
    """Local API v2: REST and both sockets of a Java ioFog agent.

    Parameters:
        client: for which microservice, and where its agent listens.
        socket_options: passed on to both sockets (`backoff`, `ping_interval_s`, `answer_timeout_s`).
        receipt_timeout_s: seconds to wait for a receipt before the connection is given up.
    """

    def __init__(self, client: LocalApiClient, *, receipt_timeout_s: float = 15.0, **socket_options: Any) -> None:
        self.client = client
        messages = AgentMessages(client, receipt_timeout_s=receipt_timeout_s, **socket_options)
        super().__init__(LocalApiControl(client, **socket_options), messages)


class DetectingLink(SplitLink):
    """A Java agent that may be of 3.7, which carries no messages: they go over NATS then.

    Parameters:
        client: for which microservice, and where its agent listens.
        other: makes the link for messages of such a node.
    """

    def __init__(self, client: LocalApiClient, other: Callable[[], Link]) -> None:
        super().__init__(LocalApiControl(client), None)
        self._client, self._other = client, other
        self._detecting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await super().start()
        self._detecting = asyncio.get_running_loop().create_task(self._detect())

    async def close(self) -> None:
        if self._detecting is not None:
            self._detecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._detecting
        await super().close()

    async def _detect(self) -> None:
        backoff, said = Backoff(), ""
        while True:
            try:
                carries = await carries_messages(self._client)
                break
            except LinkError as error:
                if str(error) != said and self._control.socket.connected:  # which tells other reasons itself
                    said = str(error)
                    log.warning("ioFog node: not known yet whether the agent carries messages: %s", said)
                await asyncio.sleep(backoff.next_s())
        if carries:
            log.info("ioFog node: the agent at %s carries messages (Local API v2)", self._client.host)
            await self._use(AgentMessages(self._client))
            return
        log.info(
            "ioFog node: the agent at %s answers %d on message routes, as 3.7 does: messages go over NATS",
            self._client.host,
            _NOT_FOUND,
        )
        await self._use(self._other())


async def carries_messages(client: LocalApiClient) -> bool:
    """Whether an agent has routes for messages, asked without taking one. Raises LinkError when it does not say."""
    try:
        await client.ask("GET", _MESSAGES)
    except RequestRefused as refusal:
        if refusal.status in (_NOT_FOUND, _WRONG_METHOD):
            return refusal.status == _WRONG_METHOD
        raise ConnectionLost(str(refusal)) from None
    raise ConnectionLost(f"{_MESSAGES}: the agent takes a GET, which none does")
