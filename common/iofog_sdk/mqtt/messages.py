"""Messages to and from an MQTT broker. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from paho.mqtt.client import MQTTMessage

MAX_PACKET_BYTES = 1024 * 1024
"""Of what is received: a broker of version 5 does not send more, with an older one it ends the connection."""
RECEIVE_MAXIMUM = 256
"""Messages that a broker of version 5 sends without their acknowledgements."""
_REMEMBERED = 2 * RECEIVE_MAXIMUM


class Publication(NamedTuple):
    """One message to a broker.

    Parameters:
        topic: without wildcards.
        payload: as it is.
        qos: 0, 1 or 2.
        retain: whether the broker keeps it for those who come later.
        expiry_s: after which the broker drops it undelivered, version 5 only; 0 for never.
        content_type: version 5 only.
        notes: user properties, version 5 only.
    """

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    expiry_s: int = 0
    content_type: str = ""
    notes: tuple[tuple[str, str], ...] = ()


class Delivered(NamedTuple):
    """One message from a broker.

    Parameters:
        topic: it was published to.
        payload: as it came.
        retained: whether the broker had kept it: nobody knows for how long.
        notes: user properties.
        guaranteed: whether it comes again when it is not taken.
        taken: acknowledges it; to be called once.
    """

    topic: str
    payload: bytes
    retained: bool
    notes: tuple[tuple[str, str], ...]
    guaranteed: bool
    taken: Callable[[], None]


class Recent:
    """Messages that have been taken, by which those are told that come again on the next connection."""

    def __init__(self) -> None:
        self._by_mid: dict[int, tuple[str, int]] = {}

    def add(self, message: MQTTMessage) -> None:
        """It has been taken."""
        self._by_mid.pop(message.mid, None)
        self._by_mid[message.mid] = (message.topic, hash(message.payload))
        if len(self._by_mid) > _REMEMBERED:
            del self._by_mid[next(iter(self._by_mid))]

    def forget(self) -> None:
        """The broker has no session any more: its identifiers begin anew."""
        self._by_mid.clear()

    def holds(self, message: MQTTMessage) -> bool:
        """Whether this is one of them, come again."""
        return message.dup and self._by_mid.get(message.mid) == (message.topic, hash(message.payload))
