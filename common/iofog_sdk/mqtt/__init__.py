"""Messages over an MQTT broker, and single connections to one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .connection import MqttConnection
    from .link import MqttLink, add_sequence
    from .messages import DuplicateFilter, Publication, ReceivedMessage
    from .options import PORTS, MqttOptions, parse_mqtt_options
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "connection": ("MqttConnection",),
            "link": ("MqttLink", "add_sequence"),
            "messages": ("DuplicateFilter", "Publication", "ReceivedMessage"),
            "options": ("PORTS", "MqttOptions", "parse_mqtt_options"),
        },
    )

__all__ = [
    "PORTS",
    "DuplicateFilter",
    "MqttConnection",
    "MqttLink",
    "MqttOptions",
    "Publication",
    "ReceivedMessage",
    "add_sequence",
    "parse_mqtt_options",
]
