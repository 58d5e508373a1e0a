"""Messages over MQTT, for nodes and networks that have a broker instead of an ioFog agent.

The content of an ioMessage is the payload. A SenML pack has the sequence number of its message in its first record,
as `run` and `seq` (receivers ignore fields they do not know, RFC 8428 section 4.4), any other JSON object as well:
with either version of MQTT a receiver can detect reordering, gaps and duplicates. Each connection has a client of its
own, as the library would retransmit what an earlier connection left, besides the retransmission here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from functools import partial

from ..errors import ConnectionLost, LinkError, MessageError
from ..links.backoff import Backoff
from ..links.in_flight import PendingMessage
from ..links.reconnecting import ReconnectingLink
from ..messages.iomessage import IoMessage
from ..messages.senml import SENML_TYPE, split_by_quantity
from ..messages.tag import address_of
from .connection import MqttConnection
from .messages import ContentRefused, DuplicateFilter, Publication, ReceivedMessage
from .options import MqttOptions
from .refusals import refusal_error

log = logging.getLogger("iofog_sdk")

_TAG, _TIME = "iofog-tag", "iofog-time"
"""User properties, MQTT 5 only: the message's tag, and its timestamp in milliseconds."""
_START = rb"\1"
_TIME_DIGITS = 15
_SEQUENCE = re.compile(rb'(\[?\{)"run":"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,64})","seq":(\d{1,15}),')


class MqttLink(ReconnectingLink):
    """Publishes with many acknowledgements in flight, receives commands, and publishes its status.

    Parameters:
        options: broker and topics.
        backoff: waiting times between attempts.
    """

    def __init__(self, options: MqttOptions, *, backoff: Backoff | None = None) -> None:
        super().__init__("MQTT", options.receipt_timeout_s, options.window, backoff)
        self.options = options
        self.microservice_id = options.identity.uuid or options.identity.microservice
        self.description = f"MQTT {options.version} at {options.server}, topic {options.expand(options.topic)}"
        self._connection: MqttConnection | None = None
        self._duplicates = DuplicateFilter(keeps_unprocessed=True)
        self._is_overfull = self._is_sending = False
        self._splits_readings = "{quantity}" in options.topic
        self._topic = options.expand(options.topic)
        self._results = options.expand(options.results)
        self._commands = options.expand(options.commands)

    @contextlib.asynccontextmanager
    async def _session(self, lost: asyncio.Future[LinkError]) -> AsyncIterator[None]:
        options = self.options
        connection = MqttConnection(options, lost, self._on_message, self._duplicates)
        try:
            await connection.open()
            self._connection, self._is_overfull = connection, False
            filters = [self._commands, *options.expand(options.receive).split(",")]
            await connection.subscribe([each for each in filters if each])
            yield
        finally:
            self._connection = None
            await connection.close()

    def _tick(self) -> None:
        if self._connection is None:
            return
        self._connection.tick()
        if self._is_overfull and not len(self._inbox):
            self._connection.abort(ConnectionLost("MQTT: inbox was full; the broker repeats what it had to leave"))

    def _send_waiting(self) -> None:
        while self._connection is not None and self._waiting and len(self._in_flight) < self._window:
            body, done = self._waiting.popleft()
            message = IoMessage.from_bytes(body)
            sent = self._in_flight.add(f"{message.groupid}.{message.sequencenumber}", done)
            options = self.options
            # A retained command would be executed again by each new subscriber.
            retain = options.retain == "true" and message.infotype == SENML_TYPE and not message.tag
            properties = ((_TAG, message.tag),) if message.tag else ()
            if message.timestamp and address_of(message.tag).recipient:
                properties = (*properties, (_TIME, str(message.timestamp)))
            publications = [
                Publication(
                    topic,
                    add_sequence(message, content),
                    options.qos,
                    retain,
                    options.expiry_s,
                    user_properties=properties,
                )
                for topic, content in self._split_content(message).items()
            ]
            self._is_sending = True
            try:
                self._connection.publish(publications, partial(self._on_acknowledged, sent))
            finally:
                self._is_sending = False
        if len(self._waiting) < self._window:
            self._room.set()

    def _on_acknowledged(self, sent: PendingMessage, refused: MessageError | None) -> None:
        if refused is None or isinstance(refused, ContentRefused):
            self._in_flight.acknowledge(sent, refused)
            if not self._is_sending:  # one that cannot be sent is refused at once, amid the others
                self._send_waiting()
        elif self._connection is not None:  # the readings are kept and sent again
            self._connection.abort(refusal_error(refused))

    def _split_content(self, message: IoMessage) -> dict[str, bytes]:
        """Contents to publish, by topic."""
        if recipient := address_of(message.tag).recipient:
            return {self.options.expand(self.options.commands, recipient): message.contentdata}
        if message.infotype != SENML_TYPE:
            return {self._results: message.contentdata}
        if not self._splits_readings:
            return {self._topic: message.contentdata}
        parts = split_by_quantity(message.contentdata)
        return {self._topic.replace("{quantity}", name or "readings"): content for name, content in parts.items()}

    def _on_message(self, received: ReceivedMessage) -> None:
        if received.retained and received.topic == self._commands:
            log.warning("MQTT: retained command on %s ignored: publish it without the retain flag", received.topic)
            received.acknowledge()
            return
        properties = dict(received.user_properties)
        message = IoMessage(id=uuid.uuid4().hex, timestamp=_sent_at(received, properties), infoformat="utf-8")
        message.contentdata = received.payload
        if match := _SEQUENCE.match(received.payload):
            message.groupid, message.sequencenumber = match[2].decode(), int(match[3])
            message.infotype = SENML_TYPE if received.payload[:1] == b"[" else "application/json"
            message.contentdata = _SEQUENCE.sub(_START, received.payload, count=1)
        message.tag = properties.get(_TAG, "")
        if received.guaranteed and self._is_overfull:
            received.leave()  # what comes behind one that was left is left as well: order
        elif self._inbox.put(message, received.acknowledge, limited_by_sender=received.guaranteed):
            return
        elif received.guaranteed:
            self._is_overfull = True
            received.leave()
        else:
            self._inbox.dropped += 1
            log.warning("MQTT: message on %s dropped: inbox full", received.topic)


def _sent_at(received: ReceivedMessage, properties: Mapping[str, str]) -> int:
    """Milliseconds since 1970-01-01: as its sender says, else of its arrival; 0 for what may have waited."""
    said = properties.get(_TIME, "")
    if said.isascii() and said.isdigit() and len(said) <= _TIME_DIGITS:
        return int(said)
    return 0 if received.may_have_waited else time.time_ns() // 1_000_000


def add_sequence(message: IoMessage, content: bytes) -> bytes:
    """JSON content with `run` and `seq` of its message; other content unchanged."""
    start = b"[{" if content.startswith(b"[{") else b"{"
    if not message.groupid or not content.startswith(start + b'"') or set(message.groupid) & set('"\\'):
        return content
    number = b'%b"run":"%b","seq":%d,' % (start, message.groupid.encode(), message.sequencenumber)
    return number + content[len(start) :]
