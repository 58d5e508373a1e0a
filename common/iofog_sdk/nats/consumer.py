"""A durable consumer that asks for its messages, and so belongs to no connection.

One that is pushed to is bound to the connection it was made by, until the server notices that this has died.
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
_SILENT_AFTER_S = 3 * _HEARTBEAT_S
_ACK_WAIT_S = 30.0
_FORGOTTEN_AFTER_S = 7 * 86_400
"""A microservice that has been away for longer finds its commands gone."""
_ENDED = ("404", "408")
"""A request has ended without messages, which is nothing to worry about (ADR-37 of NATS)."""
_HEARTBEAT = "100"


class NatsConsumer:
    """Of one connection.

    Parameters:
        client: connected.
        stream: that keeps the messages.
        durable: name of the consumer.
        take: is given each message, which it acknowledges.
        lose: is called when the consumer is gone.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        durable: str,
        take: Callable[[Msg], Awaitable[None]],
        lose: Callable[[LinkError], None],
    ) -> None:
        self._client, self._stream, self._durable = client, stream, durable
        self._take, self._lose = take, lose
        self._inbox = client.new_inbox()
        self._left = 0
        self._heard_at = 0.0

    async def open(self, subject: str, policy: DeliverPolicy) -> None:
        """Makes it if it is not there, and asks for messages. Raises nats.errors.Error.

        Parameters:
            subject: of what it is to get; another one than before takes effect.
            policy: where a new one begins.
        """
        await self._make(subject, policy)
        await self._client.subscribe(self._inbox, cb=self._receive)
        await self._ask()

    def check(self) -> None:
        """Gives the connection up when the server is silent; to be called about once a second."""
        if asyncio.get_running_loop().time() - self._heard_at > _SILENT_AFTER_S:
            self._lose(ConnectionLost(f"NATS: consumer {self._durable} is silent"))

    async def _make(self, subject: str, policy: DeliverPolicy) -> None:
        stream = self._client.jetstream()
        start = None
        try:
            found = await stream.consumer_info(self._stream, self._durable)
        except NotFoundError:
            pass
        else:
            is_same = found.config.filter_subject == subject and not found.config.deliver_subject
            if is_same and not found.num_ack_pending:
                return
            # What went to a connection that is dead would come much later, after what comes now.
            await stream.delete_consumer(self._stream, self._durable)
            if (is_same or policy == DeliverPolicy.ALL) and found.ack_floor is not None:
                policy, start = DeliverPolicy.BY_START_SEQUENCE, found.ack_floor.stream_seq + 1
        config = ConsumerConfig(
            durable_name=self._durable,
            filter_subject=subject,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=_ACK_WAIT_S,
            max_ack_pending=_BATCH,
            deliver_policy=policy,
            opt_start_seq=start,
            inactive_threshold=_FORGOTTEN_AFTER_S,
        )
        await stream.add_consumer(self._stream, config)

    async def _ask(self) -> None:
        self._left = _BATCH
        self._heard_at = asyncio.get_running_loop().time()
        wanted = {"batch": _BATCH, "expires": int(_EXPIRES_S * 1e9), "idle_heartbeat": int(_HEARTBEAT_S * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._durable}"
        await self._client.publish(subject, msgspec.json.encode(wanted), self._inbox)

    async def _receive(self, received: Msg) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if received.reply:
            self._left -= 1
            await self._take(received)
            if not self._left:
                await self._ask()
            return
        headers = received.headers or {}
        status = headers.get(Header.STATUS, "")
        if status in _ENDED:
            await self._ask()
        elif status != _HEARTBEAT:
            text = headers.get(Header.DESCRIPTION, "") or f"status {status}"
            self._lose(ConnectionLost(f"NATS: consumer {self._durable}: {text}"))
