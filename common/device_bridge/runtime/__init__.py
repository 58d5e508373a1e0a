"""Runs services as processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .cli import run
    from .process import Runtime
    from .readme import with_tables
    from .supervisor import DeviceState, Supervisor
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "cli": ("run",),
            "process": ("Runtime",),
            "readme": ("with_tables",),
            "supervisor": ("DeviceState", "Supervisor"),
        },
    )

__all__ = [
    "DeviceState",
    "Runtime",
    "Supervisor",
    "run",
    "with_tables",
]
