"""Values as gpiozero has them, and as they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from device_bridge import Reading, Value

from .classes.rows import Method

_DECIMALS = 4


def readback_error(method: Method, parameters: Mapping[str, Value], readings: list[Reading]) -> str:
    """What a line says against a command that has switched it; "" where it does not, or cannot be known."""
    wanted = parameters.get("value", {"on": True, "off": False}.get(method.name))
    found = readings[0].value if readings else None
    if isinstance(wanted, bool) and isinstance(found, bool) and wanted is not found:
        return f"switched {'on' if wanted else 'off'}, yet its line says otherwise: overload or short circuit"
    return ""


def has_measured(device: Any) -> bool:
    """Whether what it takes the average of is there."""
    is_ready: bool | None = getattr(device, "has_measured", None)
    if is_ready is None and hasattr(device, "queue_len"):
        return device.active_time is not None or device.inactive_time is not None
    return is_ready is not False


def is_measuring(device: Any) -> bool:
    """Whether the thread by which gpiozero takes averages is alive: they stay as they were without it."""
    averaged = getattr(device, "_queue", None)
    return averaged is None or averaged.is_alive()


def rounded(value: Value) -> Value:
    """Without the digits that are those of binary fractions alone."""
    return round(value, _DECIMALS) if isinstance(value, float) else value


def as_number(value: Any) -> float | None:
    """A value of gpiozero as one number: the greatest of several."""
    if isinstance(value, tuple):
        return max((float(one) for one in value), default=None)
    return None if value is None else float(value)


def assign(device: Any, value: float) -> None:
    """Has a device take the value of another, as its `source` does."""
    now = device.value
    if isinstance(now, tuple):
        device.value = (min(1.0, max(0.0, value)),) * len(now)
    elif isinstance(now, bool | int) and not isinstance(now, float):
        device.value = bool(value)
    else:
        device.value = value
