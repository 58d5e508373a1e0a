"""Messages to and from an MQTT broker. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from paho.mqtt.client import MQTTMessage

MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
"""Largest payload that is taken; a larger one is dropped, counted and logged."""
MAX_PACKET_BYTES = 2 * MAX_PAYLOAD_BYTES
"""Largest packet received: what is larger an MQTT 5 broker does not send, and says so to nobody."""
RECEIVE_MAXIMUM = 256
"""Unacknowledged messages that an MQTT 5 broker may send."""
_REMEMBERED = 2 * RECEIVE_MAXIMUM


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
    """

    topic: str
    payload: bytes
    retained: bool
    user_properties: tuple[tuple[str, str], ...]
    guaranteed: bool
    acknowledge: Callable[[], None]
    at: float = 0.0
    may_have_waited: bool = False


class DuplicateFilter:
    """Recognises acknowledged messages that the broker repeats on the next connection.

    A repeated message has its earlier packet identifier (MQTT 5.0, 4.4), topic and payload.
    """

    def __init__(self) -> None:
        self._by_mid: dict[int, tuple[str, int]] = {}

    def add(self, message: MQTTMessage) -> None:
        """Remembers an acknowledged message."""
        self._by_mid.pop(message.mid, None)
        self._by_mid[message.mid] = (message.topic, hash(message.payload))
        if len(self._by_mid) > _REMEMBERED:
            del self._by_mid[next(iter(self._by_mid))]

    def clear(self) -> None:
        """Forgets all: the broker has lost the session, and its packet identifiers start again."""
        self._by_mid.clear()

    def is_duplicate(self, message: MQTTMessage) -> bool:
        """Whether this message has been acknowledged before."""
        return message.dup and self._by_mid.get(message.mid) == (message.topic, hash(message.payload))
