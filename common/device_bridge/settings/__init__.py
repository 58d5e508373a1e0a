"""Settings: their models, sources, and errors that explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .base import Port, Seconds, Settings
    from .explain import explained, json_schema, settings_table
    from .limits import LIMITS, check_limits, limit
    from .profiles import about_profile, profile_names, read_profile
    from .renames import with_new_names
    from .sources import SettingsSources
    from .status import SettingsStatus
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "base": ("Port", "Seconds", "Settings"),
            "explain": ("explained", "json_schema", "settings_table"),
            "limits": ("LIMITS", "check_limits", "limit"),
            "profiles": ("about_profile", "profile_names", "read_profile"),
            "renames": ("with_new_names",),
            "sources": ("SettingsSources",),
            "status": ("SettingsStatus",),
        },
    )

__all__ = [
    "LIMITS",
    "Port",
    "Seconds",
    "Settings",
    "SettingsSources",
    "SettingsStatus",
    "about_profile",
    "check_limits",
    "explained",
    "json_schema",
    "limit",
    "profile_names",
    "read_profile",
    "settings_table",
    "with_new_names",
]
