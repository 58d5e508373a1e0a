"""Messages of ioFog on their way to the broker: in order, each until the broker has answered to all it became."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from device_bridge.outbox import Inbound
from iofog_sdk import ConnectionLost, IoMessage, LinkError, MessageError, Outcome, Receipt
from iofog_sdk.links import InFlight, PendingMessage, too_large_error
from iofog_sdk.mqtt import MqttConnection

from ..to_mqtt import ToTopics
from .log_once import LogOnce

log = logging.getLogger("mqtt_bridge")


class _Refused(MessageError):  # noqa: N818 - the name says what happened
    """The broker does not take a publication."""


class Publisher:
    """Where `Delivery` sends messages.

    Parameters:
        connection: open; a missing acknowledgement ends it.
        lost: done when it has ended.
        to_topics: what a message becomes.
        incoming: where the messages come from.
        log_once: topics whose refusal has been logged.
    """

    def __init__(
        self,
        connection: MqttConnection,
        lost: asyncio.Future[LinkError],
        to_topics: ToTopics,
        incoming: Inbound,
        log_once: LogOnce,
    ) -> None:
        self._connection, self._lost, self._to_topics = connection, lost, to_topics
        self._incoming, self._log_once = incoming, log_once
        self._in_flight = InFlight(connection.options.receipt_timeout_s)

    @property
    def connected(self) -> bool:
        """Whether messages can be sent now."""
        return not self._lost.done()

    @property
    def answered(self) -> int:
        """Messages that the broker has answered to."""
        return self._in_flight.acknowledged

    @property
    def is_waiting(self) -> bool:
        """Whether answers are missing."""
        return len(self._in_flight) > 0

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        """Publishes everything that one message becomes."""
        message = IoMessage.from_bytes(body)
        sent = self._in_flight.add(message.id, partial(self._end, done))
        publications, limit = self._to_topics.publications(message), self._connection.max_payload
        if (size := max((len(each.payload) for each in publications), default=0)) > limit:
            self._in_flight.acknowledge(sent, too_large_error(size, limit, "MQTT broker"))
        else:
            self._connection.publish(publications, partial(self._answered, sent))

    async def wait_connected(self) -> None:
        """Returns at once, or never: a connection that is lost does not come back."""
        if self._lost.done():
            await asyncio.Event().wait()

    async def wait_for_room(self) -> None:
        """The window of `Delivery` is all the room there is."""

    def check(self) -> None:
        """Closes the connection when an acknowledgement is overdue; call it about once a second."""
        if error := self._in_flight.timeout_error():
            self._connection.abort(error)

    def give_up(self) -> None:
        """Fails everything in flight: it is sent again on the next connection."""
        self._in_flight.fail(ConnectionLost("the connection has ended"))

    def _answered(self, sent: PendingMessage, refused: MessageError | None) -> None:
        if refused is None:
            self._in_flight.acknowledge(sent)
            return
        if self._log_once.first_time("refused", refused.field):
            log.error("%s %s; messages for it are dropped", refused.field, refused.rule)
        self._in_flight.acknowledge(sent, _Refused(refused.field, refused.rule))

    def _end(self, done: Callable[[Outcome], None], outcome: Outcome) -> None:
        """Passes an end on. What is refused would be refused again, and keep all that follows."""
        if isinstance(outcome, _Refused):
            self._incoming.give_up("refused")
            outcome = Receipt("", time.time_ns() // 1_000_000)
        done(outcome)
