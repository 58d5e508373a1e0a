"""Settings: their models, sources, and errors that explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .base import Port, Seconds, Settings
    from .profiles import profile_names, read_profile
    from .sources import SettingsSources
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "base": ("Port", "Seconds", "Settings"),
            "profiles": ("profile_names", "read_profile"),
            "sources": ("SettingsSources",),
        },
    )

__all__ = [
    "Port",
    "Seconds",
    "Settings",
    "SettingsSources",
    "profile_names",
    "read_profile",
]
