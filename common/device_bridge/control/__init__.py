"""The author's tools for states and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .debounce import Debounce
    from .merge import Put, Source, merged
    from .rules import Rules, RuleSettings
    from .safe_state_guard import LastWill
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "debounce": ("Debounce",),
            "merge": ("Put", "Source", "merged"),
            "rules": ("RuleSettings", "Rules"),
            "safe_state_guard": ("LastWill",),
        },
    )

__all__ = [
    "Debounce",
    "LastWill",
    "Put",
    "RuleSettings",
    "Rules",
    "Source",
    "merged",
]
