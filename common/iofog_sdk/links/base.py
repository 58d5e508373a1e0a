"""The way to the node, whatever kind of node it is."""

from __future__ import annotations

import abc
import logging
from collections.abc import AsyncIterator, Callable

from ..errors import LinkError
from ..messages.iomessage import IoMessage
from .receipts import Outcome, Receipt, receipt_for

log = logging.getLogger("iofog_sdk")


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
        """Sends one binary ioMessage; `done` is called once, with its receipt, a LinkError, or a MessageError for one
        that this way can never carry."""

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

    def encode(self, message: IoMessage) -> bytes:
        """The binary form of a message for `post`. Raises MessageError for one that this transport cannot carry."""
        return message.to_bytes()

    async def log(self, message: str, *, warning: bool = False) -> None:
        """Writes a line into the node's own log, where there is one."""
        log.log(logging.WARNING if warning else logging.INFO, "%s", message)

    async def send(self, message: IoMessage) -> Receipt:
        """Sends one message and waits for its receipt. Raises MessageError or LinkError."""
        message.publisher = message.publisher or self.microservice_id
        return await receipt_for(self.post, self.encode(message))

    async def __aenter__(self) -> Link:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
