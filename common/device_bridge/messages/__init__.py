"""Readings and results become ioMessages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .announcement import ANNOUNCEMENT_TYPE, Announcement
    from .clock import Clock
    from .maker import MessageMaker
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "announcement": ("ANNOUNCEMENT_TYPE", "Announcement"),
            "clock": ("Clock",),
            "maker": ("MessageMaker",),
        },
    )

__all__ = [
    "ANNOUNCEMENT_TYPE",
    "Announcement",
    "Clock",
    "MessageMaker",
    "senml",
]
