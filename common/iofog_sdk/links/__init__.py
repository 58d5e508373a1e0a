"""Parts that all links share, whatever carries their messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .always import run_always
    from .background_writer import BackgroundWriter
    from .backoff import Backoff
    from .base import Link
    from .console import ConsoleLink
    from .identity import Identity, read_identity
    from .in_flight import InFlight, PendingMessage, too_large_error
    from .inbox import Inbox
    from .receipts import Outcome, Receipt, post_and_wait
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "always": ("run_always",),
            "background_writer": ("BackgroundWriter",),
            "backoff": ("Backoff",),
            "base": ("Link",),
            "console": ("ConsoleLink",),
            "identity": ("Identity", "read_identity"),
            "in_flight": ("InFlight", "PendingMessage", "too_large_error"),
            "inbox": ("Inbox",),
            "receipts": ("Outcome", "Receipt", "post_and_wait"),
        },
    )

__all__ = [
    "BackgroundWriter",
    "Backoff",
    "ConsoleLink",
    "Identity",
    "InFlight",
    "Inbox",
    "Link",
    "Outcome",
    "Receipt",
    "PendingMessage",
    "read_identity",
    "post_and_wait",
    "run_always",
    "too_large_error",
]
