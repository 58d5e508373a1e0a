"""Publishes into a JetStream stream with many acknowledgements under way.

An acknowledgement is a message to the reply subject of what was published. A table of those costs half of what a
future for each costs, which is what nats-py would make.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import Header
from nats.js.errors import APIError, NoStreamResponseError

_NO_RESPONDERS = "503"


class _Reply(msgspec.Struct):
    """What JetStream answers; an acknowledgement has no error."""

    error: dict[str, str | int] | None = None


class NatsPublisher:
    """Of one connection.

    Parameters:
        client: connected.
        refused: is called with the reason when something is not kept.
    """

    def __init__(self, client: Client, refused: Callable[[Exception], None]) -> None:
        self._client, self._refused = client, refused
        self._inbox = client.new_inbox()
        self._numbers = count(1)
        self._done_by_reply: dict[str, Callable[[], None]] = {}

    async def open(self) -> None:
        """Makes ready to hear acknowledgements. Raises nats.errors.Error."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._take)

    async def publish(self, subject: str, content: bytes, headers: dict[str, str], done: Callable[[], None]) -> None:
        """Sends it; `done` is called when the stream has kept it. Raises nats.errors.Error or OSError."""
        reply = f"{self._inbox}.{next(self._numbers)}"
        self._done_by_reply[reply] = done
        await self._client.publish(subject, content, reply, headers)

    async def _take(self, answer: Msg) -> None:
        done = self._done_by_reply.pop(answer.subject, None)
        if done is None:
            return
        if answer.headers and answer.headers.get(Header.STATUS) == _NO_RESPONDERS:
            self._refused(NoStreamResponseError())
            return
        try:
            error = msgspec.json.decode(answer.data, type=_Reply).error
        except msgspec.DecodeError as damaged:
            self._refused(damaged)
            return
        if error is None:
            done()
            return
        try:
            APIError.from_error(error)
        except APIError as refusal:  # it raises what it makes
            self._refused(refusal)
