"""One connection to an MQTT broker, driven by the event loop.

Whoever publishes keeps what has no acknowledgement; a connection never sends anything again. It receives with quality
of service 1 at most, and acknowledges a message when it has been taken: what comes again after a loss is told by
its packet identifier, which a broker keeps (MQTT 5.0, 4.4).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ..errors import ConnectionLost, LinkError, MessageError, NodeUnreachable
from .messages import MAX_PACKET_BYTES, Delivered, Publication, Recent
from .options import MqttOptions
from .paho_client import connect, new_client, properties_of, subscription
from .paho_loop import drop, join

log = logging.getLogger("iofog_sdk")

_CLOSE_S = 1.0
_TOLD = 100
_HEADERS = 2048
"""Room for topic and properties in a packet, or half of a small one."""
_BURST = 8
"""Publications in one go while more is to be done: a broker that waits in the meantime costs a third of the rate."""
_FAILED = 0x80
"""Reason codes from here on are errors (MQTT 5.0, 2.4)."""


Done: TypeAlias = "Callable[[MessageError | None], None]"
"""What is called when a publication has ended: with nothing, or with why the broker refuses it."""


class MqttConnection:
    """Opens, tells its status, subscribes, publishes, receives, and says when it has ended.

    Parameters:
        options: where to, as whom.
        lost: is given the reason when it ends by itself.
        take: takes each message that comes.
        recent: of the connections before.
    """

    def __init__(
        self,
        options: MqttOptions,
        lost: asyncio.Future[LinkError],
        take: Callable[[Delivered], None],
        recent: Recent | None = None,
    ) -> None:
        self.options, self._lost, self._take = options, lost, take
        self._recent = recent or Recent()
        self._loop = asyncio.get_running_loop()
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._by_mid: dict[int, tuple[str, Done]] = {}
        self._unwritten: list[Done] = []
        self._queue: deque[tuple[Publication, Done]] = deque()
        self._told: set[str] = set()
        self._handed_out: set[int] = set()
        self._room = options.window
        self._answers: list[tuple[int, ReasonCode]] = []
        self.max_payload = options.max_payload
        """Bytes that one publication can have."""
        client = self._client = new_client(options)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish, client.on_subscribe = self._on_publish, self._on_subscribe
        client.on_message = self._on_message
        self._flush = join(client, self._loop, self._on_read, self._on_written)

    async def open(self) -> None:
        """Returns when the broker has accepted it and knows its status. Raises LinkError."""
        try:
            async with asyncio.timeout(2 * self.options.answer_timeout_s):
                await connect(self._client, self.options)
                await self._or_lost(self._accepted)
                if self.options.status:
                    await self._acknowledged(self._status("online"))
        except TimeoutError:
            raise NodeUnreachable(f"MQTT: {self.options.server} does not answer") from None

    async def subscribe(self, filters: Sequence[str], *, echo: bool = True) -> None:
        """Returns when the broker has acknowledged it. Raises LinkError.

        Parameters:
            filters: topics, with wildcards.
            echo: whether to get what one has published oneself; version 3.1.1 always gives it.
        """
        if not filters:
            return
        wanted = [subscription(each, self.options, echo=echo) for each in filters]
        answered: asyncio.Future[None] = self._loop.create_future()
        _, mid = self._client.subscribe(wanted)
        self._by_mid[mid or 0] = (", ".join(filters), partial(_resolve, answered))
        try:
            async with asyncio.timeout(self.options.answer_timeout_s):
                await self._or_lost(answered)
        except TimeoutError:
            raise NodeUnreachable(f"MQTT: {self.options.server} does not answer") from None

    def publish(self, publications: Sequence[Publication], done: Done) -> None:
        """Sends them; `done` is called when the broker has answered to all, never if the connection is lost.

        It is given a MessageError when the broker has refused one, which version 5 tells. What needs no
        acknowledgement counts as such when the operating system has taken it.
        """
        left, refused = len(publications), None
        if not left:
            done(None)

        def counted(refusal: MessageError | None) -> None:
            nonlocal left, refused
            left, refused = left - 1, refused or refusal
            if not left:
                done(refused)

        one_done = done if left == 1 else counted
        self._queue.extend((each, one_done) for each in publications)
        self._send()

    def tick(self) -> None:
        """Pings when it is time; to be called about once a second."""
        self._client.loop_misc()

    def lose(self, error: LinkError) -> None:
        """Gives the connection up for this reason."""
        if not self._lost.done():
            self._lost.set_result(error)

    async def close(self) -> None:
        """Ends it in order where it can be: the last will is for all other ends."""
        client = self._client
        if client.is_connected() and not self._lost.done():
            with contextlib.suppress(LinkError, TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    if self.options.status:
                        await self._acknowledged(self._status("offline"))
                    client.disconnect()
                    await asyncio.wait((self._lost,))
        drop(client, self._loop)
        self._by_mid.clear()
        self._queue.clear()

    def _on_connect(self, _: Any, __: Any, flags: ConnectFlags, reason: ReasonCode, told: Properties | None) -> None:
        if not flags.session_present:
            self._recent.forget()
        server, user = self.options.server, self.options.user or "(none)"
        if reason.is_failure:
            self.lose(NodeUnreachable(f"MQTT: {server} refuses user {user}: {reason}"))
        else:
            limit = getattr(told, "MaximumPacketSize", self.max_payload + _HEADERS)
            self.max_payload = min(self.max_payload, limit - min(_HEADERS, limit // 2))
            self._room = min(self._room, getattr(told, "ReceiveMaximum", self._room))
            _resolve(self._accepted)

    def _on_disconnect(self, _: Any, __: Any, ___: DisconnectFlags, reason: ReasonCode, ____: Any) -> None:
        self.lose(ConnectionLost(f"MQTT: {self.options.server} has closed the connection: {reason}"))

    def _on_publish(self, _: Any, __: Any, mid: int, reason: ReasonCode, ___: Any) -> None:
        self._answers.append((mid, reason))

    def _on_read(self) -> None:
        answers, self._answers = self._answers, []
        for number, (mid, reason) in enumerate(answers, 1):
            topic, done = self._by_mid.pop(mid, ("a message", _ignore))
            refused = reason.value >= _FAILED
            rule = f"is refused: {reason}; let this user publish there"
            done(MessageError(topic, rule) if refused else None)
            self._send()
            if number % _BURST == 0:
                self._flush()

    def _send(self) -> None:
        while self._queue and len(self._by_mid) < self._room:
            each, done = self._queue.popleft()
            info = self._client.publish(
                each.topic, each.payload, each.qos, each.retain, properties_of(each, self.options)
            )
            if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                self.lose(ConnectionLost(f"MQTT: not sent: {info.rc.name}"))
                return
            if each.qos:
                self._by_mid[info.mid] = (each.topic, done)
            else:
                self._unwritten.append(done)

    def _on_written(self) -> None:
        written, self._unwritten = self._unwritten, []
        for done in written:
            done(None)

    def _on_subscribe(self, _: Any, __: Any, mid: int, reasons: list[ReasonCode], ___: Any) -> None:
        filters, done = self._by_mid.pop(mid, ("", _ignore))
        if refused := [str(reason) for reason in reasons if reason.value >= _FAILED]:
            remedy = "let this user subscribe"
            self.lose(ConnectionLost(f"MQTT: a subscription to {filters} is refused: {refused[0]}; {remedy}"))
        done(None)

    def _on_message(self, client: Client, _: object, message: MQTTMessage) -> None:
        acknowledge = partial(self._taken, client, message)
        if message.qos and message.mid in self._handed_out:
            return  # the broker has lost patience, and sends again what is still being worked on
        if self._recent.holds(message):
            acknowledge()
        elif len(message.payload) > MAX_PACKET_BYTES:
            if message.topic not in self._told and len(self._told) < _TOLD:
                self._told.add(message.topic)
                log.warning("MQTT: %d bytes on %s are dropped: too much", len(message.payload), message.topic)
            acknowledge()  # else it would come again, and keep what follows
        else:
            if message.qos:
                self._handed_out.add(message.mid)
            notes = tuple(getattr(message.properties, "UserProperty", ()))
            self._take(
                Delivered(message.topic, bytes(message.payload), message.retain, notes, message.qos > 0, acknowledge)
            )

    def _taken(self, client: Client, message: MQTTMessage) -> None:
        if message.qos:
            self._handed_out.discard(message.mid)
            self._recent.add(message)
            if not self._lost.done():
                client.ack(message.mid, message.qos)

    def _status(self, status: str) -> Publication:
        return Publication(self.options.filled(self.options.status), status.encode(), qos=1, retain=True)

    async def _acknowledged(self, publication: Publication) -> None:
        refused: list[MessageError | None] = []
        answered: asyncio.Future[None] = self._loop.create_future()

        def done(refusal: MessageError | None) -> None:
            refused.append(refusal)
            _resolve(answered)

        self.publish([publication], done)
        await self._or_lost(answered)
        if refused[0] is not None:
            raise refusal_of(refused[0])

    async def _or_lost(self, answered: asyncio.Future[None]) -> None:
        await asyncio.wait((answered, self._lost), return_when=asyncio.FIRST_COMPLETED)
        if self._lost.done():
            raise self._lost.result()


def _resolve(future: asyncio.Future[None], _: MessageError | None = None) -> None:
    if not future.done():
        future.set_result(None)


def refusal_of(refused: MessageError) -> ConnectionLost:
    """A publication that is refused, as the reason for giving the connection up."""
    return ConnectionLost(f"MQTT: {refused.field} {refused.rule}")


def _ignore(_: MessageError | None) -> None:
    """For an answer to what nobody has asked."""
