"""A link without a node: messages are printed as lines of JSON."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, TextIO

import msgspec

from ..errors import ConnectionLost
from ..messages.iomessage import IoMessage
from .base import Link
from .receipts import Outcome, Receipt


class ConsoleLink(Link):
    """Prints messages instead of sending them, to try a device without a node."""

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
            "content": _decode_content(message.contentdata),
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


def _decode_content(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        return content.decode("utf-8", "backslashreplace")
