"""A link whose configuration and messages come over two different interfaces of the node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from ..errors import ConnectionLost, LinkError
from ..messages.iomessage import IoMessage
from .base import Link
from .control import Control
from .receipts import Outcome


class SplitLink(Link):
    """Configuration from `control`, messages over `messages`.

    `control` can be started without the messages; starting the link starts what has not been started.

    Parameters:
        control: source of the configuration.
        messages: carries the messages; None until a subclass has found out which link that is.
    """

    def __init__(self, control: Control, messages: Link | None) -> None:
        super().__init__()
        self.control, self._messages = control, messages
        control.on_config = lambda config: self.on_config(config) if self.on_config is not None else None
        self._chosen = asyncio.Event()
        self.microservice_id = control.microservice_id
        self.description = self._describe()

    def _describe(self) -> str:
        if self._messages is None or self._messages.description == self.control.description:
            return self.control.description
        return f"{self._messages.description}; settings from {self.control.description}"

    @property
    def connected(self) -> bool:
        return self._messages is not None and self._messages.connected

    @property
    def last_error(self) -> LinkError | None:
        return self._messages.last_error if self._messages is not None else self.control.socket.last_error

    @property
    def dropped_incoming(self) -> int:
        return self._messages.dropped_incoming if self._messages is not None else 0

    async def start(self) -> None:
        await self.control.start()
        if self._messages is not None:
            await self._use(self._messages)

    async def _use(self, messages: Link) -> None:
        self._messages = messages
        self.description = self._describe()
        await messages.start()
        self._chosen.set()

    async def close(self) -> None:
        await self.control.close()
        if self._messages is not None:
            await self._messages.close()

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        if self._messages is None:
            done(self.last_error or ConnectionLost("not connected"))
        else:
            self._messages.post(body, done)

    def encode(self, message: IoMessage) -> bytes:
        return super().encode(message) if self._messages is None else self._messages.encode(message)

    async def wait_connected(self) -> None:
        await (await self._wait_chosen()).wait_connected()

    async def wait_for_room(self) -> None:
        if self._messages is not None:
            await self._messages.wait_for_room()

    async def get_config(self) -> str | None:
        return await self.control.get_config()

    async def messages(self) -> AsyncIterator[IoMessage]:
        async for message in (await self._wait_chosen()).messages():
            yield message

    async def log(self, message: str, *, warning: bool = False) -> None:
        await self.control.log(message, warning=warning)

    async def set_position(self, lat: float, lon: float) -> None:
        await self.control.set_position(lat, lon)

    async def _wait_chosen(self) -> Link:
        await self._chosen.wait()
        assert self._messages is not None  # noqa: S101 - set before the event
        return self._messages
