"""Health and metrics over HTTP, and log lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .listener import Listener
else:
    __getattr__ = lazy_exports(__name__, {"listener": ("Listener",)})

__all__ = ["Listener"]
