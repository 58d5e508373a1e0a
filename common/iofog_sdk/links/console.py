"""A link without a node: messages are printed as lines of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from ..errors import ConnectionLost, LinkError
from ..messages.content import decode_json
from ..messages.iomessage import IoMessage
from .background_writer import BackgroundWriter
from .base import Link
from .receipts import Outcome, Receipt

_BUFFER_BYTES = 64 * 1024
_RETRY_S = 1.0


class ConsoleLink(Link):
    """Prints messages instead of sending them, to try a device without a node.

    A message has its receipt when it has been written: a reader that stops reading is a link without room.

    Parameters:
        fd: file descriptor to print to, standard output by default.
    """

    def __init__(self, fd: int = 1) -> None:
        super().__init__()
        self.description = "console"
        self._writer = BackgroundWriter(fd, "console")
        self._posted: deque[tuple[int, Callable[[Outcome], None]]] = deque()
        self._number = 0
        self._room, self._up = asyncio.Event(), asyncio.Event()
        self._room.set()
        self._up.set()
        self._last_error: LinkError | None = None

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    @property
    def last_error(self) -> LinkError | None:
        return None if self.connected else self._last_error

    async def start(self) -> None:
        """Nothing to connect, and no configuration."""
        if self.on_config is not None:
            self.on_config(None)

    async def close(self) -> None:
        """What has not been written by now has no receipt."""
        self._lose(ConnectionLost("console: closed"))

    async def wait_connected(self) -> None:
        """Waits after an error, as of a full disk, until it is worth trying again."""
        await self._up.wait()

    async def wait_for_room(self) -> None:
        await self._room.wait()

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        message = IoMessage.from_bytes(body)
        line = {
            "groupid": message.groupid,
            "sequencenumber": message.sequencenumber,
            "infotype": message.infotype,
            "content": _decode_content(message.contentdata),
        }
        loop = asyncio.get_running_loop()
        self._number = number = self._number + 1

        def written(error: OSError | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(self._written, number, error)

        self._posted.append((number, done))
        self._writer.write(msgspec.json.encode(line) + b"\n", written)
        if self._writer.waiting_bytes > _BUFFER_BYTES:
            self._room.clear()

    def _written(self, number: int, error: OSError | None) -> None:
        if self._writer.waiting_bytes <= _BUFFER_BYTES:
            self._room.set()
        if not self._posted or self._posted[0][0] != number:
            return  # it has failed with others before
        if error is not None:
            self._lose(ConnectionLost(f"console: {error.strerror}"))
            self._up.clear()
            asyncio.get_running_loop().call_later(_RETRY_S, self._up.set)
            return
        _, done = self._posted.popleft()
        done(Receipt(uuid.uuid4().hex, time.time_ns() // 1_000_000))

    def _lose(self, error: ConnectionLost) -> None:
        self._last_error = error
        self._room.set()
        while self._posted:
            self._posted.popleft()[1](error)

    async def get_config(self) -> str | None:
        return None

    async def messages(self) -> AsyncIterator[IoMessage]:
        await asyncio.Event().wait()
        yield IoMessage()


def _decode_content(content: bytes) -> Any:
    try:
        return decode_json(content)
    except ValueError:
        return content.decode("utf-8", "backslashreplace")
