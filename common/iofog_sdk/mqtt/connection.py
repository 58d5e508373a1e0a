"""One connection to an MQTT broker, driven by the event loop.

The publisher keeps messages until they are acknowledged; a connection never retransmits. It receives with QoS 1 at
most and acknowledges a message when it has been processed; a DuplicateFilter recognises what the broker repeats.
MQTT carries no time of publication; `Freshness` tells what has just been published from what has waited.
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
from .freshness import Freshness
from .messages import (
    MAX_PAYLOAD_BYTES,
    ContentRefused,
    DuplicateFilter,
    Publication,
    ReceivedMessage,
    check_publication,
)
from .options import MqttOptions
from .paho_client import (
    connect,
    last_will,
    new_client,
    publish_properties,
    status_message,
    subscribe_arguments,
)
from .paho_loop import attach, detach
from .refusals import FAILED, hint_at_silence, refusal, refusal_error

log = logging.getLogger("iofog_sdk")

_CLOSE_S = 1.0
_MAX_LOGGED_TOPICS = 100
_HEADER_BYTES = 2048
"""Reserved for topic and properties in a packet, or half of a small maximum."""
_BURST = 8
"""Publications between two writes to the socket: a broker left idle meanwhile costs a third of the rate."""


Done: TypeAlias = "Callable[[MessageError | None], None]"
"""Called when a publication is acknowledged, or with the error when the broker refuses it."""


class MqttConnection:
    """Connects, publishes its status, subscribes, publishes and receives; reports its loss.

    Parameters:
        options: broker, account and status topic.
        lost: set to the reason when the connection is lost.
        on_message: called with each message received.
        duplicates: of the earlier connections of this client; None to start without.
    """

    def __init__(
        self,
        options: MqttOptions,
        lost: asyncio.Future[LinkError],
        on_message: Callable[[ReceivedMessage], None],
        duplicates: DuplicateFilter | None = None,
    ) -> None:
        self.options, self._lost, self._deliver = options, lost, on_message
        self._duplicates = duplicates or DuplicateFilter()
        self._loop = asyncio.get_running_loop()
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._by_mid: dict[int, tuple[str, Done, float]] = {}
        self._unwritten: list[Done] = []
        self._queue: deque[tuple[Publication, Done]] = deque()
        self._logged_topics: set[str] = set()
        self.too_large = 0
        """Messages received that were dropped for their size."""
        self._window = options.window
        self._acknowledgements: list[tuple[int, ReasonCode]] = []
        self.max_payload = options.max_payload
        """Largest payload of a publication, bytes."""
        self._max_header = _HEADER_BYTES
        client = self._client = new_client(options)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish, client.on_subscribe = self._on_publish, self._on_subscribe
        client.on_message = self._on_message
        self._freshness = Freshness(client)
        self._flush = attach(client, self._loop, self._on_read, self._on_written, self._on_error)

    async def open(self) -> None:
        """Connects and publishes the status `online`. Raises LinkError."""
        try:
            async with asyncio.timeout(2 * self.options.answer_timeout_s):
                await connect(self._client, self.options)
                await self._wait_or_lost(self._accepted)
                if self.options.status:
                    await self._publish_and_wait(status_message(self.options, "online"))
        except TimeoutError:
            raise NodeUnreachable(f"MQTT: {self.options.server} does not answer") from None

    async def subscribe(self, filters: Sequence[str], *, echo: bool = True) -> None:
        """Subscribes and waits for the broker's acknowledgement. Raises LinkError.

        Parameters:
            filters: topic filters.
            echo: whether to receive this client's own publications; MQTT 3.1.1 always sends them.
        """
        if not filters:
            return
        subscriptions = [subscribe_arguments(each, self.options, echo=echo) for each in filters]
        answered: asyncio.Future[None] = self._loop.create_future()
        _, mid = self._client.subscribe(subscriptions)
        self._by_mid[mid or 0] = (", ".join(filters), partial(_resolve, answered), self._loop.time())
        try:
            async with asyncio.timeout(self.options.answer_timeout_s):
                await self._wait_or_lost(answered)
        except TimeoutError:
            raise NodeUnreachable(f"MQTT: {self.options.server} does not answer") from None

    def publish(self, publications: Sequence[Publication], done: Done) -> None:
        """Sends all; `done` is called once when all are acknowledged, and never if the connection is lost.

        It gets a MessageError if one was refused by the broker, which MQTT 5 reports; a ContentRefused at once, and
        none is sent, if this broker would close the connection over one. A publication of QoS 0 counts as
        acknowledged when the operating system has accepted its bytes.
        """
        left, refused = len(publications), None
        if not left:
            done(None)

        def counted(refusal: MessageError | None) -> None:
            nonlocal left, refused
            left, refused = left - 1, refused or refusal
            if not left:
                done(refused)

        try:
            for each in publications:
                check_publication(each, self._max_header, self.max_payload)
        except ContentRefused as error:
            done(error)
            return
        one_done = done if left == 1 else counted
        self._queue.extend((each, one_done) for each in publications)
        self._send()

    def tick(self) -> None:
        """Sends pings when they are due; call it about once a second."""
        self._client.loop_misc()
        # Between two answered pings it must have read what was sent before the first.
        self._duplicates.confirm(self._loop.time() - 2 * self.options.ping_interval_s)
        self._freshness.tick()

    def abort(self, error: LinkError) -> None:
        """Reports the connection as lost for this reason."""
        if not self._lost.done():
            self._lost.set_result(error)

    async def close(self) -> None:
        """Publishes `offline` and disconnects if the connection is up; otherwise the broker sends the last will."""
        client = self._client
        if client.is_connected() and not self._lost.done():
            with contextlib.suppress(LinkError, TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    if (will := last_will(self.options)) is not None:
                        await self._publish_and_wait(will)
                    client.disconnect()
                    await asyncio.wait((self._lost,))
        detach(client, self._loop)
        self._by_mid.clear()
        self._queue.clear()

    def _on_connect(
        self, _: Any, __: Any, flags: ConnectFlags, reason: ReasonCode, granted: Properties | None
    ) -> None:
        self._duplicates.reconnected(session_present=flags.session_present)
        self._freshness.begin(session_present=flags.session_present)
        server, user = self.options.server, self.options.user or "(none)"
        if reason.is_failure:
            self.abort(NodeUnreachable(f"MQTT: {server} refuses user {user}: {reason}"))
        else:
            limit = getattr(granted, "MaximumPacketSize", self.max_payload + _HEADER_BYTES)
            self._max_header = min(_HEADER_BYTES, limit // 2)
            self.max_payload = min(self.max_payload, limit - self._max_header)
            self._window = min(self._window, getattr(granted, "ReceiveMaximum", self._window))
            _resolve(self._accepted)

    def _on_disconnect(self, _: Any, __: Any, ___: DisconnectFlags, reason: ReasonCode, ____: Any) -> None:
        server = self.options.server
        if self._accepted.done():
            self.abort(ConnectionLost(f"MQTT: {server} has closed the connection: {reason}"))
            return
        hint = hint_at_silence(self.options)
        self.abort(NodeUnreachable(f"MQTT: {server} closed the connection without an answer; {hint}"))

    def _on_publish(self, _: Any, __: Any, mid: int, reason: ReasonCode, ___: Any) -> None:
        self._acknowledgements.append((mid, reason))

    def _on_read(self) -> None:
        answers, self._acknowledgements = self._acknowledgements, []
        for number, (mid, reason) in enumerate(answers, 1):
            topic, done, sent_at = self._by_mid.pop(mid, ("a message", _ignore, 0.0))
            self._duplicates.confirm(sent_at)  # it takes what comes in order
            done(refusal(topic, reason))
            self._send()
            if number % _BURST == 0:
                self._flush()

    def _send(self) -> None:
        while self._queue and len(self._by_mid) < self._window:
            each, done = self._queue.popleft()
            info = self._client.publish(
                each.topic, each.payload, each.qos, each.retain, publish_properties(each, self.options)
            )
            if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                self.abort(ConnectionLost(f"MQTT: not sent: {info.rc.name}"))
                return
            if each.qos:
                self._by_mid[info.mid] = (each.topic, done, self._loop.time())
            else:
                self._unwritten.append(done)

    def _on_error(self, error: Exception) -> None:
        """What was being received or acknowledged was not dealt with; on another connection it comes again."""
        log.error("MQTT: unexpected error; reconnecting", exc_info=error)
        self.abort(ConnectionLost(f"MQTT: {type(error).__name__}: {error}"))

    def _on_written(self) -> None:
        written, self._unwritten = self._unwritten, []
        for done in written:
            done(None)

    def _on_subscribe(self, _: Any, __: Any, mid: int, reasons: list[ReasonCode], ___: Any) -> None:
        filters, done, _ = self._by_mid.pop(mid, ("", _ignore, 0.0))
        if refused := [str(reason) for reason in reasons if reason.value >= FAILED]:
            remedy = "allow this user to subscribe"
            self.abort(ConnectionLost(f"MQTT: a subscription to {filters} is refused: {refused[0]}; {remedy}"))
        done(None)

    def _on_message(self, client: Client, _: object, message: MQTTMessage) -> None:
        at, finish = self._loop.time(), _nothing
        if message.qos:
            begun = self._duplicates.begin(message, partial(self._answer, client, message, at))
            if begun is None:
                return
            finish = begun
        if len(message.payload) > MAX_PAYLOAD_BYTES:
            self.too_large += 1
            if message.topic not in self._logged_topics and len(self._logged_topics) < _MAX_LOGGED_TOPICS:
                self._logged_topics.add(message.topic)
                log.warning("MQTT: message of %d bytes on %s dropped: too large", len(message.payload), message.topic)
            finish()  # else the broker repeats it, and holds back later ones
            return
        user_properties = tuple(getattr(message.properties, "UserProperty", ()))
        may_have_waited = self._freshness.received(guaranteed=message.qos > 0) or message.dup
        leave = partial(self._duplicates.leave, message) if message.qos else _nothing
        received = ReceivedMessage(
            *(message.topic, bytes(message.payload), message.retain, user_properties),
            guaranteed=message.qos > 0,
            acknowledge=finish,
            at=at,
            may_have_waited=may_have_waited,  # one that was sent before was so at an unknown time
            leave=leave,
        )
        try:
            self._deliver(received)
        except Exception:
            leave()
            raise

    def _answer(self, client: Client, message: MQTTMessage, at: float) -> float | None:
        if self._lost.done():
            return None
        client.ack(message.mid, message.qos)
        now = self._loop.time()
        self._freshness.acknowledged(now - at)
        return now

    async def _publish_and_wait(self, publication: Publication) -> None:
        refused: list[MessageError | None] = []
        answered: asyncio.Future[None] = self._loop.create_future()

        def done(refusal: MessageError | None) -> None:
            refused.append(refusal)
            _resolve(answered)

        self.publish([publication], done)
        await self._wait_or_lost(answered)
        if refused[0] is not None:
            raise refusal_error(refused[0])

    async def _wait_or_lost(self, answered: asyncio.Future[None]) -> None:
        await asyncio.wait((answered, self._lost), return_when=asyncio.FIRST_COMPLETED)
        if self._lost.done():
            raise self._lost.result()


def _resolve(future: asyncio.Future[None], _: MessageError | None = None) -> None:
    if not future.done():
        future.set_result(None)


def _nothing() -> None:
    """For a message that nobody repeats."""


def _ignore(_: MessageError | None) -> None:
    """For an acknowledgement of an unknown packet."""
