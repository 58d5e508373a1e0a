"""Messages of ioFog on their way to the broker: in order, each until the broker has acknowledged all it became."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from iofog_sdk import ConnectionLost, IoMessage, LinkError, Outcome
from iofog_sdk.data_plane import InFlight, too_large
from iofog_sdk.mqtt_connection import MqttConnection

from .to_mqtt import ToTopics


class Publisher:
    """Where `Delivery` sends messages.

    Parameters:
        connection: open.
        lost: done when it has ended.
        to_topics: what a message becomes.
        receipt_timeout_s: after which a missing acknowledgement ends the connection.
    """

    def __init__(
        self,
        connection: MqttConnection,
        lost: asyncio.Future[LinkError],
        to_topics: ToTopics,
        receipt_timeout_s: float,
    ) -> None:
        self._connection, self._lost, self._to_topics = connection, lost, to_topics
        self._in_flight = InFlight(receipt_timeout_s)

    @property
    def connected(self) -> bool:
        """Whether messages can be sent now."""
        return not self._lost.done()

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        """Publishes everything that one message becomes."""
        message = IoMessage.from_bytes(body)
        sent = self._in_flight.add(message.id, done)
        publications, limit = self._to_topics.publications(message), self._connection.max_payload
        if (size := max((len(each.payload) for each in publications), default=0)) > limit:
            self._in_flight.acknowledge(sent, too_large(size, limit, "MQTT broker"))
        else:
            self._connection.publish(publications, lambda: self._in_flight.acknowledge(sent))

    async def wait_connected(self) -> None:
        """Returns at once, or never: a connection that is lost does not come back."""
        if self._lost.done():
            await asyncio.Event().wait()

    async def wait_for_room(self) -> None:
        """The window of `Delivery` is all the room there is."""

    def check(self) -> None:
        """Gives the connection up when an acknowledgement is overdue; to be called about once a second."""
        if overdue := self._in_flight.overdue():
            self._connection.lose(overdue)

    def give_up(self) -> None:
        """Ends everything that is under way: it will be sent again on the next connection."""
        self._in_flight.fail(ConnectionLost("the connection has ended"))
