"""Commands and readings that several classes have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from device_bridge import Parameter

from .rows import Measure, Method, always, flag

PWM = flag("pwm", True, "by pulses, so that it can be between on and off")


def assign(name: str = "value") -> Callable[[Any, Mapping[str, Any]], object]:
    return lambda device, parameters: setattr(device, name, parameters["value"])


def set_value(parameter: Parameter, description: str = "sets it", name: str = "value") -> Method:
    return Method("", always(parameter), description, assign(name))


def plain(*names: str) -> tuple[Method, ...]:
    says = {
        "on": "on",
        "off": "off",
        "toggle": "the other way",
        "reverse": "the other direction, as fast",
        "stop": "stops",
        "min": "to its least",
        "mid": "to the middle",
        "max": "to its greatest",
        "detach": "no pulses any more: it gives way",
    }
    return tuple(Method(name, always(), says[name]) for name in names)


def share(suffix: str, read: Callable[[Any], Any], description: str, low: float = 0.0) -> Measure:
    return Measure(suffix, read, "/", lambda _: (low, 1.0), description, "detached")
