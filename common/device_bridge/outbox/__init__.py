"""What waits between device and node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .delivery import Delivery, Transport
    from .durable import Outbox
    from .entry import Entry
    from .inbound import Inbound
    from .share import AnyOutbox
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "delivery": ("Delivery", "Transport"),
            "durable": ("Outbox",),
            "inbound": ("Inbound",),
            "entry": ("Entry",),
            "share": ("AnyOutbox",),
        },
    )

__all__ = [
    "AnyOutbox",
    "Delivery",
    "Entry",
    "Inbound",
    "Outbox",
    "Transport",
]
