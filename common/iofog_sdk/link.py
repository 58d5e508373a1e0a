"""The way to the node, whatever kind of node it is."""

from __future__ import annotations

import abc
import asyncio
import logging
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, TextIO

import msgspec

from .errors import ConnectionLost, IoFogError, LinkError
from .frames import Receipt
from .local_api import LocalApiClient
from .message import IoMessage
from .sockets import Outcome, encode_for_socket, receipt_for

log = logging.getLogger("iofog_sdk")

_INBOX_LIMIT = 1000


class Link(abc.ABC):
    """Sends messages, receives messages, learns the configuration.

    Use it as an asynchronous context manager, or call `start` and `close`.
    """

    description = ""
    """Where this link goes, for people."""
    microservice_id = ""

    def __init__(self) -> None:
        self.on_config: Callable[[str | None], None] | None = None
        """Called with the configuration text whenever it may have changed; None when the node has none."""

    @property
    @abc.abstractmethod
    def connected(self) -> bool:
        """Whether messages can be sent now."""

    @property
    def last_error(self) -> LinkError | None:
        """Why the link is down, None while it is up."""
        return None

    @abc.abstractmethod
    async def start(self) -> None:
        """Begins connecting in the background."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Ends the link; messages without a receipt end with a LinkError."""

    @abc.abstractmethod
    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        """Sends one binary ioMessage; `done` is called once, with its receipt or a LinkError."""

    @abc.abstractmethod
    async def wait_connected(self) -> None:
        """Returns when messages can be sent."""

    async def wait_for_room(self) -> None:  # noqa: B027 - a link without a send buffer always has room
        """Returns when more data can be sent without piling up in memory."""

    @abc.abstractmethod
    async def get_config(self) -> str | None:
        """The configuration text, None when the node has none. Raises LinkError."""

    @abc.abstractmethod
    def messages(self) -> AsyncIterator[IoMessage]:
        """The messages sent to this microservice, as they come, for ever."""

    async def log(self, message: str, *, warning: bool = False) -> None:
        """Writes a line into the node's own log, where there is one."""
        log.log(logging.WARNING if warning else logging.INFO, "%s", message)

    async def send(self, message: IoMessage) -> Receipt:
        """Sends one message and waits for its receipt. Raises MessageError or LinkError."""
        message.publisher = message.publisher or self.microservice_id
        return await receipt_for(self.post, encode_for_socket(message))

    async def __aenter__(self) -> Link:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AgentLink(Link):
    """Local API v2: REST and both sockets of a Java ioFog agent.

    Parameters:
        client: for which microservice, and where its agent listens.
        socket_options: passed on to both sockets (`backoff`, `ping_interval_s`, `answer_timeout_s`).
        receipt_timeout_s: seconds to wait for a receipt before the connection is given up.
    """

    def __init__(self, client: LocalApiClient, *, receipt_timeout_s: float = 15.0, **socket_options: Any) -> None:
        super().__init__()
        self.client = client
        self.microservice_id = client.microservice_id
        self.description = f"ioFog agent at {client.host}:{client.port}, Local API v2"
        self._inbox: asyncio.Queue[IoMessage] = asyncio.Queue()
        self._messages = client.message_socket(self._take, receipt_timeout_s=receipt_timeout_s, **socket_options)
        self._control = client.control_socket(self._refresh_config, **socket_options)
        self._refresh: asyncio.Task[None] | None = None
        self._refresh_again = False

    @property
    def connected(self) -> bool:
        return self._messages.connected

    @property
    def last_error(self) -> LinkError | None:
        return None if self.connected else self._messages.last_error

    async def start(self) -> None:
        self._messages.start()
        self._control.start()

    async def close(self) -> None:
        if self._refresh is not None:
            self._refresh.cancel()
        await self._control.close()
        await self._messages.close()
        await self.client.close()

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        self._messages.post(body, done)

    async def wait_connected(self) -> None:
        await self._messages.wait_connected()

    async def wait_for_room(self) -> None:
        await self._messages.wait_for_room()

    async def get_config(self) -> str | None:
        return await self.client.get_config()

    async def messages(self) -> AsyncIterator[IoMessage]:
        while True:
            message = await self._inbox.get()
            if self._inbox.qsize() == _INBOX_LIMIT // 2:
                self._messages.resume_reading()
            yield message

    async def log(self, message: str, *, warning: bool = False) -> None:
        await self.client.log(message, warning=warning)

    def _take(self, message: IoMessage) -> None:
        self._inbox.put_nowait(message)
        if self._inbox.qsize() == _INBOX_LIMIT:
            self._messages.pause_reading()

    def _refresh_config(self) -> None:
        if self._refresh is not None and not self._refresh.done():
            self._refresh_again = True
        elif self.on_config is not None:
            self._refresh = asyncio.get_running_loop().create_task(self._fetch_config())

    async def _fetch_config(self) -> None:
        while True:
            self._refresh_again = False
            try:
                config = await self.client.get_config()
            except LinkError as error:  # the control socket will notice too, and come back
                log.warning("configuration not fetched: %s", error)
                if self._control.connected:
                    await asyncio.sleep(1.0)
                    continue
                return
            except IoFogError as error:
                log.warning("configuration not fetched: %s", error)
                return
            if self.on_config is not None and not self._refresh_again:
                self.on_config(config)
            if not self._refresh_again:
                return


class ConsoleLink(Link):
    """Prints each message as a line of JSON instead of sending it: for trying a device without a node."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self.description = "console"
        self._stream = stream or sys.stdout

    @property
    def connected(self) -> bool:
        return True

    async def start(self) -> None:
        """Nothing to connect, and no configuration."""
        if self.on_config is not None:
            self.on_config(None)

    async def close(self) -> None:
        """Nothing to close."""

    async def wait_connected(self) -> None:
        """Always connected."""

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        message = IoMessage.from_bytes(body)
        line = {
            "groupid": message.groupid,
            "sequencenumber": message.sequencenumber,
            "infotype": message.infotype,
            "content": _readable(message.contentdata),
        }
        try:
            self._stream.write(msgspec.json.encode(line).decode() + "\n")
            self._stream.flush()
        except OSError as error:
            done(ConnectionLost(f"console: {error.strerror}"))
            return
        done(Receipt(uuid.uuid4().hex, time.time_ns() // 1_000_000))

    async def get_config(self) -> str | None:
        return None

    async def messages(self) -> AsyncIterator[IoMessage]:
        await asyncio.Event().wait()
        yield IoMessage()


def _readable(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        return content.decode("utf-8", "backslashreplace")
