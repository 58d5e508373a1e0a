"""Messages over MQTT, for nodes and networks that have a broker instead of an ioFog agent.

The content of an ioMessage is the payload. A SenML pack carries the number of its message in its first record, as
`run` and `seq` (RFC 8428 lets receivers ignore what they do not know), and so does any other JSON object: a receiver
can prove order, gaps and duplicates with either version of the protocol. Each connection has a client of its own:
whatever one keeps would be sent behind the back of whoever sends anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator
from functools import partial

from ..errors import ConnectionLost, LinkError, MessageError
from ..links.backoff import Backoff
from ..links.in_flight import Sent, too_large
from ..links.reconnecting import DataPlane
from ..messages.iomessage import IoMessage
from ..messages.senml_split import split_by_quantity
from ..messages.tag import address_of
from .connection import MqttConnection, refusal_of
from .messages import Delivered, Publication, Recent
from .options import MqttOptions

log = logging.getLogger("iofog_sdk")

SENML = "application/senml+json"
_TAG = "iofog-tag"
"""User property, version 5 only."""
_NUMBERED = re.compile(rb'\[?\{"run":"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,64})","seq":(\d{1,15}),')


class MqttLink(DataPlane):
    """Publishes with a window of acknowledgements, receives commands, and says whether it is there.

    Parameters:
        options: where to, and which topics.
        backoff: waiting times between attempts.
    """

    def __init__(self, options: MqttOptions, *, backoff: Backoff | None = None) -> None:
        super().__init__("MQTT", options.receipt_timeout_s, options.window, backoff)
        self.options = options
        self.microservice_id = options.identity.uuid or options.identity.microservice
        self.description = f"MQTT {options.version} at {options.server}, topic {options.filled(options.topic)}"
        self._connection: MqttConnection | None = None
        self._recent = Recent()
        self._split = "{quantity}" in options.topic
        self._topic = options.filled(options.topic)
        self._results = options.filled(options.results)
        self._commands = options.filled(options.commands)

    @contextlib.asynccontextmanager
    async def _session(self, lost: asyncio.Future[LinkError]) -> AsyncIterator[None]:
        options = self.options
        connection = MqttConnection(options, lost, self._take, self._recent)
        try:
            await connection.open()
            self._connection = connection
            filters = [self._commands, *options.filled(options.receive).split(",")]
            await connection.subscribe([each for each in filters if each])
            yield
        finally:
            self._connection = None
            await connection.close()

    def _tick(self) -> None:
        if self._connection is not None:
            self._connection.tick()

    def _pump(self) -> None:
        while self._connection is not None and self._waiting and len(self._in_flight) < self._window:
            body, done = self._waiting.popleft()
            message = IoMessage.from_bytes(body)
            sent = self._in_flight.add(f"{message.groupid}.{message.sequencenumber}", done)
            options, limit = self.options, self._connection.max_payload
            # Whoever subscribes later is to find the last readings; a command that is kept would be given again.
            retain = options.retain == "true" and message.infotype == SENML and not message.tag
            notes = ((_TAG, message.tag),) if message.tag else ()
            publications = [
                Publication(topic, numbered(message, content), options.qos, retain, options.expiry_s, notes=notes)
                for topic, content in self._contents(message).items()
            ]
            if (size := max(len(each.payload) for each in publications)) > limit:
                self._in_flight.acknowledge(sent, too_large(size, limit, "MQTT broker"))
                continue

            self._connection.publish(publications, partial(self._answered, sent))
        if len(self._waiting) < self._window:
            self._room.set()

    def _answered(self, sent: Sent, refused: MessageError | None) -> None:
        if refused is None:
            self._in_flight.acknowledge(sent)
            self._pump()
        elif self._connection is not None:  # readings wait until it is allowed
            self._connection.lose(refusal_of(refused))

    def _contents(self, message: IoMessage) -> dict[str, bytes]:
        """What is published where."""
        if recipient := address_of(message.tag).recipient:
            return {self.options.filled(self.options.commands, recipient): message.contentdata}
        if message.infotype != SENML:
            return {self._results: message.contentdata}
        if not self._split:
            return {self._topic: message.contentdata}
        parts = split_by_quantity(message.contentdata)
        return {self._topic.replace("{quantity}", name or "readings"): content for name, content in parts.items()}

    def _take(self, received: Delivered) -> None:
        if received.retained and received.topic == self._commands:
            log.warning("MQTT: a command on %s is retained, and ignored: publish it without", received.topic)
            received.taken()
            return
        # MQTT does not tell when a message was sent: its age counts from here.
        message = IoMessage(id=uuid.uuid4().hex, timestamp=time.time_ns() // 1_000_000, infoformat="utf-8")
        message.contentdata = received.payload
        if match := _NUMBERED.match(received.payload):
            message.groupid, message.sequencenumber = match[1].decode(), int(match[2])
            message.infotype = SENML if received.payload[:1] == b"[" else "application/json"
        message.tag = dict(received.notes).get(_TAG, "")
        if self._inbox.put(message, received.taken, is_held_back=received.guaranteed):
            return
        if received.guaranteed and self._connection is not None:
            self._connection.lose(ConnectionLost("MQTT: too many messages wait to be taken; they come again"))
        else:
            log.warning("MQTT: a message on %s is dropped: too many wait to be taken", received.topic)


def numbered(message: IoMessage, content: bytes) -> bytes:
    """Content with the number of its message in it, where it can have one."""
    start = b"[{" if content.startswith(b"[{") else b"{"
    if not message.groupid or not content.startswith(start + b'"') or set(message.groupid) & set('"\\'):
        return content
    number = b'%b"run":"%b","seq":%d,' % (start, message.groupid.encode(), message.sequencenumber)
    return number + content[len(start) :]
