"""A durable pull consumer, which no connection owns.

A push consumer is bound to the connection that created it until the server detects that this connection is dead.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header
from nats.js.errors import NotFoundError

from ..errors import ConnectionLost, LinkError
from .messages import stored_as

_BATCH = 256
_BATCH_BYTES = 8 * 1024 * 1024
"""Of messages that are being processed; more when the server takes single ones that are larger."""
_EXPIRES_S = 30.0
_HEARTBEAT_S = 5.0
_MAX_SILENCE_S = 3 * _HEARTBEAT_S
_ACK_WAIT_S = 30.0
_INACTIVE_THRESHOLD_S = 7 * 86_400
"""The server deletes a consumer that is unused for longer, and the microservice misses its commands."""
_REQUEST_ENDED = ("404", "408")
"""Statuses of a pull request that ended without messages, which is no error (ADR-37 of NATS)."""
_BATCH_FULL = "MaxBytes"
"""In the description of status 409: the next message would exceed the bytes that were asked for."""
_BATCH_COMPLETED, _PENDING = "Batch Completed", "Nats-Pending-Messages"
"""The same for a request whose messages have all been sent, and the header with how many have not."""
_IN_PROGRESS_S = _ACK_WAIT_S / 3
"""After which the server learns that a message is still being processed, so that it does not repeat it."""
_HEARTBEAT = "100"
_STATUSES = {"503": "does not exist"}
"""Of replies without a description; a deleted consumer has no responders."""


class NatsConsumer:
    """The use of a consumer by one connection.

    Parameters:
        client: connected.
        stream: name of the stream that stores the messages.
        durable: name of the consumer.
        on_message: called with each message, and what is to be called when it has been processed.
        on_lost: called when the consumer is gone.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        durable: str,
        on_message: Callable[[Msg, Callable[[], None]], None],
        on_lost: Callable[[LinkError], None],
    ) -> None:
        self._client, self._stream, self._durable = client, stream, durable
        self._on_message, self._on_lost = on_message, on_lost
        self._inbox = client.new_inbox()
        self._held: dict[int, Msg] = {}
        self._is_requested = self._has_failed = False
        self._background: set[asyncio.Task[None]] = set()
        self._last_received = self._told_at = 0.0

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
        now = asyncio.get_running_loop().time()
        if self._is_requested and now - self._last_received > _MAX_SILENCE_S:
            self._on_lost(ConnectionLost(f"NATS: consumer {self._durable} is silent"))
        if self._held and now - self._told_at > _IN_PROGRESS_S:
            self._told_at = now
            for message in list(self._held.values()):
                self._in_background(message.in_progress())

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
        self._is_requested = True
        self._remaining = _BATCH
        self._last_received = asyncio.get_running_loop().time()
        most = max(_BATCH_BYTES, 2 * self._client.max_payload)
        request = {"batch": _BATCH, "max_bytes": most, "expires": int(_EXPIRES_S * 1e9)}
        request["idle_heartbeat"] = int(_HEARTBEAT_S * 1e9)
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._durable}"
        await self._client.publish(subject, msgspec.json.encode(request), self._inbox)

    async def _request_again(self) -> None:
        """Once all messages of the last request have been processed: what waits here is bounded, and in order."""
        self._is_requested = False
        if not self._held:
            await self._request_batch()

    async def _receive(self, received: Msg) -> None:
        self._last_received = asyncio.get_running_loop().time()
        if self._has_failed:
            return
        if received.reply:
            self._has_failed = True  # what follows a message that cannot be taken would go before it
            self._take(received)
            self._has_failed = False
            self._remaining -= 1
            if not self._remaining:
                await self._request_again()
            return
        headers = received.headers or {}
        status, text = headers.get(Header.STATUS, ""), headers.get(Header.DESCRIPTION, "").partition("\n")[0].strip()
        if text == _BATCH_COMPLETED and headers.get(_PENDING, "0").strip() == "0":
            return  # messages are counted as they come: in a cluster the last ones may come behind this
        if status in _REQUEST_ENDED or _BATCH_FULL in text or text == _BATCH_COMPLETED:
            await self._request_again()
        elif status != _HEARTBEAT:
            # Without a description nats-py returns the next header in its place.
            text = text or _STATUSES.get(status, status)
            self._on_lost(ConnectionLost(f"NATS: consumer {self._durable}: {text}"))

    def _take(self, received: Msg) -> None:
        number = stored_as(received)
        is_repeated = number in self._held
        self._held[number] = received
        if is_repeated:
            return  # it is still being processed
        self._on_message(received, lambda: self._processed(number))

    def _processed(self, number: int) -> None:
        message = self._held.pop(number, None)
        if message is not None:
            self._in_background(message.ack())
        if not self._held and not self._is_requested:
            self._in_background(self._request_batch())

    def _in_background(self, work: Awaitable[None]) -> None:
        async def suppress_errors() -> None:
            with contextlib.suppress(Error, OSError):  # the server repeats a message that is not acknowledged
                await work

        task = asyncio.ensure_future(suppress_errors())
        self._background.add(task)
        task.add_done_callback(self._background.discard)
