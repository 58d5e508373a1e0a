"""The connection to a node, whatever its kind."""

from __future__ import annotations

import abc
import logging
from collections.abc import AsyncIterator, Callable

from ..errors import IoFogError, LinkError
from ..messages.iomessage import IoMessage
from .receipts import Outcome, Receipt, post_and_wait

log = logging.getLogger("iofog_sdk")


class Link(abc.ABC):
    """Sends messages, receives messages, fetches the configuration.

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

    @property
    def dropped_incoming(self) -> int:
        """Received messages that had to make room for later ones, as the application did not take them in time."""
        return 0

    @abc.abstractmethod
    async def start(self) -> None:
        """Starts connecting in the background."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Closes the link; messages without a receipt fail with a LinkError."""

    @abc.abstractmethod
    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        """Sends one binary ioMessage and calls `done` once with its outcome.

        That is a receipt, a LinkError, or a MessageError for a message that this transport can never carry. Receipts
        and LinkErrors come in the order of posting; a MessageError may come at once.
        """

    @abc.abstractmethod
    async def wait_connected(self) -> None:
        """Waits until messages can be sent."""

    async def wait_for_room(self) -> None:  # noqa: B027 - a link without a send buffer always has room
        """Waits until the send buffer has room."""

    @abc.abstractmethod
    async def get_config(self) -> str | None:
        """The configuration text, None when the node has none. Raises LinkError."""

    @abc.abstractmethod
    def messages(self) -> AsyncIterator[IoMessage]:
        """Yields the messages sent to this microservice as they arrive; never ends."""

    def encode(self, message: IoMessage) -> bytes:
        """The binary form of a message for `post`. Raises MessageError for one that this transport cannot carry."""
        return message.to_bytes()

    async def log(self, message: str, *, warning: bool = False) -> None:
        """Writes a line into the node's own log if it has one, else into this process's."""
        log.log(logging.WARNING if warning else logging.INFO, "%s", message)

    async def set_position(self, lat: float, lon: float) -> None:
        """Reports the node's position, degrees of WGS 84. Raises IoFogError, also for a link without a node."""
        raise IoFogError(f"{self.description} keeps no position")

    async def send(self, message: IoMessage) -> Receipt:
        """Sends one message and waits for its receipt. Raises MessageError or LinkError."""
        message.publisher = message.publisher or self.microservice_id
        return await post_and_wait(self.post, self.encode(message))

    async def __aenter__(self) -> Link:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
