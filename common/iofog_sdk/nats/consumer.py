"""A durable pull consumer, which no connection owns.

A push consumer is bound to the connection that created it until the server detects that this connection is dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header
from nats.js.errors import NotFoundError

from ..errors import ConnectionLost, LinkError

_BATCH = 256
_EXPIRES_S = 30.0
_HEARTBEAT_S = 5.0
_MAX_SILENCE_S = 3 * _HEARTBEAT_S
_ACK_WAIT_S = 30.0
_INACTIVE_THRESHOLD_S = 7 * 86_400
"""The server deletes a consumer that is unused for longer, and the microservice misses its commands."""
_REQUEST_ENDED = ("404", "408")
"""Statuses of a pull request that ended without messages, which is no error (ADR-37 of NATS)."""
_HEARTBEAT = "100"
_STATUSES = {"503": "does not exist"}
"""Of replies without a description; a deleted consumer has no responders."""


class NatsConsumer:
    """The use of a consumer by one connection.

    Parameters:
        client: connected.
        stream: name of the stream that stores the messages.
        durable: name of the consumer.
        on_message: called with each message, which it acknowledges.
        on_lost: called when the consumer is gone.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        durable: str,
        on_message: Callable[[Msg], Awaitable[None]],
        on_lost: Callable[[LinkError], None],
    ) -> None:
        self._client, self._stream, self._durable = client, stream, durable
        self._on_message, self._on_lost = on_message, on_lost
        self._inbox = client.new_inbox()
        self._remaining = 0
        self._last_received = 0.0

    async def open(self, subject: str, policy: DeliverPolicy) -> None:
        """Creates the consumer if it does not exist, and requests messages. Raises nats.errors.Error.

        Parameters:
            subject: filter of the consumer; an existing consumer with another one is replaced.
            policy: where a new consumer starts in the stream.
        """
        await self._ensure(subject, policy)
        await self._client.subscribe(self._inbox, cb=self._receive)
        await self._request_batch()

    def check(self) -> None:
        """Reports the consumer as lost when the server is silent; call it about once a second."""
        if asyncio.get_running_loop().time() - self._last_received > _MAX_SILENCE_S:
            self._on_lost(ConnectionLost(f"NATS: consumer {self._durable} is silent"))

    async def _ensure(self, subject: str, policy: DeliverPolicy) -> None:
        stream = self._client.jetstream()
        start = None
        try:
            existing = await stream.consumer_info(self._stream, self._durable)
        except NotFoundError:
            pass
        else:
            is_same = existing.config.filter_subject == subject and not existing.config.deliver_subject
            if is_same and not existing.num_ack_pending:
                return
            # Messages that a dead connection did not acknowledge would be repeated much later, after newer ones.
            await stream.delete_consumer(self._stream, self._durable)
            if (is_same or policy == DeliverPolicy.ALL) and existing.ack_floor is not None:
                policy, start = DeliverPolicy.BY_START_SEQUENCE, existing.ack_floor.stream_seq + 1
        config = ConsumerConfig(
            durable_name=self._durable,
            filter_subject=subject,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=_ACK_WAIT_S,
            max_ack_pending=_BATCH,
            deliver_policy=policy,
            opt_start_seq=start,
            inactive_threshold=_INACTIVE_THRESHOLD_S,
        )
        await stream.add_consumer(self._stream, config)

    async def _request_batch(self) -> None:
        self._remaining = _BATCH
        self._last_received = asyncio.get_running_loop().time()
        request = {"batch": _BATCH, "expires": int(_EXPIRES_S * 1e9), "idle_heartbeat": int(_HEARTBEAT_S * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._durable}"
        await self._client.publish(subject, msgspec.json.encode(request), self._inbox)

    async def _receive(self, received: Msg) -> None:
        self._last_received = asyncio.get_running_loop().time()
        if received.reply:
            self._remaining -= 1
            await self._on_message(received)
            if not self._remaining:
                await self._request_batch()
            return
        headers = received.headers or {}
        status = headers.get(Header.STATUS, "")
        if status in _REQUEST_ENDED:
            await self._request_batch()
        elif status != _HEARTBEAT:
            # Without a description nats-py returns the next header in its place.
            text = headers.get(Header.DESCRIPTION, "").partition("\n")[0].strip() or _STATUSES.get(status, status)
            self._on_lost(ConnectionLost(f"NATS: consumer {self._durable}: {text}"))
