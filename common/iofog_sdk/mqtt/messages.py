"""Messages to and from an MQTT broker. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from paho.mqtt.client import MQTTMessage

from ..errors import MessageError

MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
"""Largest payload that is taken; a larger one is dropped, counted and logged."""
MAX_PACKET_BYTES = 2 * MAX_PAYLOAD_BYTES
"""Largest packet received: what is larger an MQTT 5 broker does not send, and says so to nobody."""
RECEIVE_MAXIMUM = 256
"""Unacknowledged messages that an MQTT 5 broker may send."""
_REMEMBERED = 4096
"""Messages that may be repeated: brokers of MQTT 3.1.1 know no RECEIVE_MAXIMUM, NATS sends 1024 at once."""


def _nothing() -> None:
    """For a message that nobody repeats."""


class Publication(NamedTuple):
    """One message to a broker.

    Parameters:
        topic: without wildcards.
        payload: bytes to send.
        qos: 0, 1 or 2.
        retain: whether the broker keeps it for later subscribers.
        expiry_s: seconds after which the broker drops it undelivered, MQTT 5 only; 0 for never.
        content_type: MQTT 5 only.
        user_properties: pairs of name and value, MQTT 5 only.
    """

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    expiry_s: int = 0
    content_type: str = ""
    user_properties: tuple[tuple[str, str], ...] = ()


class ReceivedMessage(NamedTuple):
    """One message from a broker.

    Parameters:
        topic: topic it was published on.
        payload: bytes received.
        retained: whether the broker had stored it, for an unknown time.
        user_properties: pairs of name and value, MQTT 5 only.
        guaranteed: whether the broker repeats it until it is acknowledged (QoS 1 and 2).
        acknowledge: to be called once, when the message has been processed.
        at: time of its arrival on the event loop's clock, seconds.
        may_have_waited: whether the broker may have kept it for an unknown time, while nobody took it.
        leave: to be called instead of `acknowledge` for a message that is not taken now, and is when it is repeated.
    """

    topic: str
    payload: bytes
    retained: bool
    user_properties: tuple[tuple[str, str], ...]
    guaranteed: bool
    acknowledge: Callable[[], None]
    at: float = 0.0
    may_have_waited: bool = False
    leave: Callable[[], None] = _nothing


class ContentRefused(MessageError):  # noqa: N818 - the name says what happened
    """A broker refuses a message for its topic or payload, or would; and would again."""


def check_publication(publication: Publication, max_header: int, max_payload: int) -> None:
    """Raises ContentRefused for what a broker would close the connection over.

    Parameters:
        publication: to be sent.
        max_header: most bytes of topic and properties.
        max_payload: most bytes of the payload.
    """
    topic = publication.topic
    if not topic or "+" in topic or "#" in topic:
        raise ContentRefused("topic", "must have a character and no wildcards", topic)
    texts = [topic, publication.content_type]
    for pair in publication.user_properties:
        texts += pair
    joined = "".join(texts)
    if not (joined.isascii() and joined.isprintable()):
        for text in texts:
            _check_text("topic" if text is topic else "property", text)
    if (size := len(joined.encode()) + 5 * len(texts)) > max_header:
        raise ContentRefused("frame", f"topic and properties may have {max_header} bytes at this MQTT broker", size)
    if (size := len(publication.payload)) > max_payload:
        raise ContentRefused("frame", f"at most {max_payload} bytes can be sent to this MQTT broker", size)


def _check_text(field: str, text: str) -> None:
    """MQTT 5.0, 1.5.4: characters that a receiver may close the connection over, as mosquitto does."""
    for each in text:
        code = ord(each)
        is_control = code < 0x20 or 0x7F <= code < 0xA0
        if is_control or 0xD800 <= code < 0xE000 or 0xFDD0 <= code < 0xFDF0 or code & 0xFFFE == 0xFFFE:
            raise ContentRefused(field, f"must not have the character U+{code:04X} over MQTT", text)


class _Pending:
    """A message that is being processed; `answer` acknowledges it on the newest connection, if that is up."""

    __slots__ = ("answer", "content", "is_known")

    def __init__(self, content: tuple[str, int], answer: Callable[[], float | None]) -> None:
        self.content, self.answer = content, answer
        self.is_known = True


class DuplicateFilter:
    """Recognises what the broker repeats on the next connection, by packet identifier, topic and payload.

    A repetition is what is still being processed, or was acknowledged by an acknowledgement that may be lost. When
    the broker is known to have that, the packet identifier is free, and the next message under it is new, whatever
    its DUP flag says (MQTT 3.1.1 and 5.0, 4.3.2).

    Parameters:
        keeps_unprocessed: whether the application goes on with messages of a connection that was lost; else those it
            has not processed are taken when they come again.
    """

    def __init__(self, *, keeps_unprocessed: bool = False) -> None:
        self._keeps_unprocessed = keeps_unprocessed
        self._pending: dict[int, _Pending] = {}
        self._acknowledged: dict[int, tuple[tuple[str, int], float]] = {}
        self._earlier: dict[int, tuple[str, int]] = {}

    def begin(self, message: MQTTMessage, answer: Callable[[], float | None]) -> Callable[[], None] | None:
        """Takes a message; None for one that was taken before.

        Parameters:
            message: as received, with a QoS above 0.
            answer: acknowledges it, and returns when; None when the connection was lost.

        Returns what is to be called when it has been processed.
        """
        content = (message.topic, hash(message.payload))
        before = self._pending.get(message.mid)
        if before is not None and before.content == content:
            before.answer = answer
            return None
        if message.dup and self._earlier.get(message.mid) == content:
            self._remember(message.mid, content, answer())
            return None
        self._earlier.pop(message.mid, None)
        self._acknowledged.pop(message.mid, None)
        pending = self._pending[message.mid] = _Pending(content, answer)
        return partial(self._finish, message.mid, pending)

    def leave(self, message: MQTTMessage) -> None:
        """A message is not taken after all: it is new when it comes again."""
        self._pending.pop(message.mid, None)

    def confirm(self, before: float) -> None:
        """The broker has every acknowledgement given before this time on the present connection."""
        known = [mid for mid, (_, at) in self._acknowledged.items() if at < before]
        for mid in known:
            del self._acknowledged[mid]

    def reconnected(self, *, session_present: bool) -> None:
        """Another connection: without the session packet identifiers begin again, and nothing is repeated."""
        self._earlier |= {mid: content for mid, (content, _) in self._acknowledged.items()}
        self._acknowledged.clear()
        if not session_present:
            self._earlier.clear()
        if not session_present or not self._keeps_unprocessed:
            for pending in self._pending.values():
                pending.is_known = session_present
            self._pending.clear()
        while len(self._earlier) > _REMEMBERED:
            del self._earlier[next(iter(self._earlier))]

    def _finish(self, mid: int, pending: _Pending) -> None:
        if self._pending.get(mid) is pending:
            del self._pending[mid]
        at = pending.answer()
        if pending.is_known:
            self._remember(mid, pending.content, at)

    def _remember(self, mid: int, content: tuple[str, int], at: float | None) -> None:
        """A message was acknowledged at this time, or not at all: it may come again until the broker has that."""
        self._earlier.pop(mid, None)
        self._acknowledged.pop(mid, None)
        if at is None:
            self._earlier[mid] = content
        else:
            self._acknowledged[mid] = content, at
            if len(self._acknowledged) > _REMEMBERED:
                del self._acknowledged[next(iter(self._acknowledged))]
