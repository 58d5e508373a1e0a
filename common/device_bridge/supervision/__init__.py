"""One device over its whole life: opened, read, closed, opened again, and sent commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .device_metrics import collect_device_metrics
    from .life_cycle import DeviceState
    from .supervisor import Supervisor
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "device_metrics": ("collect_device_metrics",),
            "life_cycle": ("DeviceState",),
            "supervisor": ("Supervisor",),
        },
    )

__all__ = ["DeviceState", "Supervisor", "collect_device_metrics"]
