"""What every link to a node has in common, whatever carries its messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .backoff import Backoff
    from .base import Link
    from .console import ConsoleLink
    from .identity import Identity, identity_from
    from .in_flight import InFlight, Sent, too_large
    from .inbox import Inbox, Received
    from .receipts import Outcome, Receipt, receipt_for
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "backoff": ("Backoff",),
            "base": ("Link",),
            "console": ("ConsoleLink",),
            "identity": ("Identity", "identity_from"),
            "in_flight": ("InFlight", "Sent", "too_large"),
            "inbox": ("Inbox", "Received"),
            "receipts": ("Outcome", "Receipt", "receipt_for"),
        },
    )

__all__ = [
    "Backoff",
    "ConsoleLink",
    "Identity",
    "InFlight",
    "Inbox",
    "Link",
    "Outcome",
    "Receipt",
    "Received",
    "Sent",
    "identity_from",
    "receipt_for",
    "too_large",
]
