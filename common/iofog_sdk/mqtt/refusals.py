"""What a broker's refusal of a publication means. No I/O."""

from __future__ import annotations

from paho.mqtt.reasoncodes import ReasonCode

from ..errors import ConnectionLost, MessageError
from .messages import ContentRefused
from .options import MqttOptions

_CONTENT_REFUSED = (0x90, 0x99)
"""Topic name invalid, payload format invalid (MQTT 5.0, 3.4.2.1)."""
FAILED = 0x80
"""Reason codes from this one on are errors (MQTT 5.0, 2.4)."""


def refusal(topic: str, reason: ReasonCode) -> MessageError | None:
    """The error for the answer to a publication on this topic, None for an acknowledgement."""
    if reason.value < FAILED:
        return None
    if reason.value in _CONTENT_REFUSED:
        return ContentRefused(topic, f"is refused: {reason}")
    return MessageError(topic, f"is refused: {reason}; allow this user to publish there")


def refusal_error(refused: MessageError) -> ConnectionLost:
    """A refused publication as the reason to close the connection."""
    return ConnectionLost(f"MQTT: {refused.field} {refused.rule}")


def hint_at_silence(options: MqttOptions) -> str:
    """What is likely when a broker closes a connection without an answer."""
    if not options.server.startswith("mqtts:"):
        return "a port for TLS does that: write mqtts://"
    if options.certificate:
        return "it may not know the client certificate"
    return "it may want a client certificate (certificate, key)"
