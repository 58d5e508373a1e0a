"""Messages over an MQTT broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .connection import MqttConnection
    from .link import MqttLink, numbered
    from .messages import Delivered, Publication, Recent
    from .options import PORTS, MqttOptions, mqtt_options
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "connection": ("MqttConnection",),
            "link": ("MqttLink", "numbered"),
            "messages": ("Delivered", "Publication", "Recent"),
            "options": ("PORTS", "MqttOptions", "mqtt_options"),
        },
    )

__all__ = [
    "PORTS",
    "Delivered",
    "MqttConnection",
    "MqttLink",
    "MqttOptions",
    "Publication",
    "Recent",
    "mqtt_options",
    "numbered",
]
