"""A link to a node in the test itself: what a service sends is with the test at once, with its receipt."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from iofog_sdk import ConnectionLost, IoMessage, Link, Outcome, Receipt


class MemoryLink(Link):
    """The link.

    Parameters:
        on_message: called with each message of the service.
    """

    description = microservice_id = "memory"

    def __init__(self, on_message: Callable[[IoMessage], None] | None = None) -> None:
        super().__init__()
        self.sent: list[IoMessage] = []
        self.config: str | None = None
        self.lines: list[str] = []
        """What the service has written into the node's log."""
        self.inbox: asyncio.Queue[IoMessage] = asyncio.Queue()
        """Messages for the service."""
        self._on_message = on_message or self.sent.append
        self._numbers = itertools.count(1)
        self._up = asyncio.Event()
        self._up.set()

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    def connect(self, *, up: bool) -> None:
        """The node is there, or away."""
        (self._up.set if up else self._up.clear)()

    def configure(self, config: str | None) -> None:
        """Gives the service another configuration text."""
        self.config = config
        if self.on_config is not None:
            self.on_config(config)

    async def start(self) -> None:
        self.configure(self.config)

    async def close(self) -> None:
        """Nothing is on its way."""

    async def wait_connected(self) -> None:
        await self._up.wait()

    async def get_config(self) -> str | None:
        return self.config

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        if not self.connected:
            done(ConnectionLost("the node is away"))
            return
        self._on_message(IoMessage.from_bytes(body))
        done(Receipt(str(next(self._numbers)), time.time_ns() // 1_000_000))

    async def messages(self) -> AsyncIterator[IoMessage]:
        while True:
            yield await self.inbox.get()

    @property
    def results(self) -> list[Any]:
        """Of commands, as far as the service has sent them."""
        return [json.loads(message.contentdata) for message in self.sent if message.infotype == "application/json"]

    def command(self, **members: Any) -> None:
        """Gives the service a command, as `command="tare", id="1"`."""
        content = json.dumps(members).encode()
        message = IoMessage(id=content.decode(), infotype="application/json", contentdata=content)
        message.timestamp = time.time_ns() // 1_000_000
        self.inbox.put_nowait(message)

    async def log(self, message: str, *, warning: bool = False) -> None:
        self.lines.append(message)
