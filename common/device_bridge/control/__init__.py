"""The author's tools for states and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .change_reporter import ChangeReporter
    from .debounce import Debounce
    from .guard_process import I2cAct, SafeAct, offs_first
    from .heartbeat import Heartbeat
    from .members import Member
    from .merge import Put, Source, merged, without_samples
    from .rules import Rules, RuleSettings
    from .safe_state_guard import SafeStateGuard, Watchdog, WatchdogTimeout, leave_first_place
    from .ticker import Ticker
    from .totals import Totals
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "change_reporter": ("ChangeReporter",),
            "debounce": ("Debounce",),
            "guard_process": ("I2cAct", "SafeAct", "offs_first"),
            "heartbeat": ("Heartbeat",),
            "members": ("Member",),
            "merge": ("Put", "Source", "merged", "without_samples"),
            "rules": ("RuleSettings", "Rules"),
            "safe_state_guard": ("SafeStateGuard", "Watchdog", "WatchdogTimeout", "leave_first_place"),
            "ticker": ("Ticker",),
            "totals": ("Totals",),
        },
    )

__all__ = [
    "ChangeReporter",
    "Debounce",
    "Heartbeat",
    "I2cAct",
    "Member",
    "Put",
    "RuleSettings",
    "Rules",
    "SafeAct",
    "SafeStateGuard",
    "Source",
    "Ticker",
    "Totals",
    "Watchdog",
    "WatchdogTimeout",
    "leave_first_place",
    "merged",
    "offs_first",
    "without_samples",
]
