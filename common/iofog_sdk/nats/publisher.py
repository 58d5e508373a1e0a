"""Publishes to a JetStream stream with many acknowledgements in flight.

An acknowledgement is a message to the reply subject of the publication. A table of reply subjects costs half of the
future per publication that nats-py uses.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TypeAlias

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import Header
from nats.js.errors import APIError, NoStreamResponseError

from ..errors import MessageError
from ..messages.content import decode_json

_NO_RESPONDERS = "503"
_CONTENT_REFUSED = (10054, 10097)
"""JetStream's codes for a message, or its headers, larger than the stream takes."""

Done: TypeAlias = "Callable[[MessageError | None], None]"
"""Called when a publication is stored, or with the error when the stream can never store it."""


class _Reply(msgspec.Struct):
    """JetStream's reply; an acknowledgement has no error."""

    error: dict[str, str | int] | None = None


class NatsPublisher:
    """Publishes on one connection.

    Parameters:
        client: connected.
        on_error: called with the reason when a publication was not stored.
    """

    def __init__(self, client: Client, on_error: Callable[[Exception], None]) -> None:
        self._client, self._on_error = client, on_error
        self._inbox = client.new_inbox()
        self._numbers = count(1)
        self._done_by_reply: dict[str, Done] = {}

    async def open(self) -> None:
        """Subscribes to acknowledgements. Raises nats.errors.Error."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._on_reply)

    async def publish(self, subject: str, content: bytes, headers: dict[str, str], done: Done) -> None:
        """Sends a message; `done` is called when the stream has stored it. Raises nats.errors.Error or OSError."""
        reply = f"{self._inbox}.{next(self._numbers)}"
        self._done_by_reply[reply] = done
        await self._client.publish(subject, content, reply, headers)

    async def _on_reply(self, reply: Msg) -> None:
        done = self._done_by_reply.pop(reply.subject, None)
        if done is None:
            return
        if reply.headers and reply.headers.get(Header.STATUS) == _NO_RESPONDERS:
            self._on_error(NoStreamResponseError())
            return
        try:
            error = decode_json(reply.data, _Reply).error
        except ValueError as damaged:
            self._on_error(damaged)
            return
        if error is None:
            done(None)
            return
        if error.get("err_code") in _CONTENT_REFUSED:
            done(MessageError("frame", f"is refused by the stream: {error.get('description')}"))
            return
        try:
            APIError.from_error(error)
        except APIError as refusal:  # from_error raises the error it makes
            self._on_error(refusal)
