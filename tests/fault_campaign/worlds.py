"""All services and profiles, each in its world. A service or profile that has none fails by its name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from device_bridge.settings import profile_names
from workspace.members import service_names

from . import gpio_worlds, i2c_worlds, mqtt_worlds, serial_worlds

WITHOUT_DEVICE = {
    "live_dashboard": "shows what others have measured",
    "edge_gateway": "runs services that have worlds of their own; tests/gateway is what happens between them",
}
"""Services that have no bus on which anything could go wrong."""

CLOCKS = {}
"""By place: `real` for a service with threads, for which a movable clock cannot wait."""


def _missing(*_):
    pytest.fail("has no world of faults; add one in tests/fault_campaign")


def _all():
    worlds = i2c_worlds.WORLDS | serial_worlds.WORLDS | gpio_worlds.WORLDS | mqtt_worlds.WORLDS
    for file in sorted(Path(__file__).parent.glob("world_*.py")):
        module = import_module(f"{__package__}.{file.stem}")
        worlds |= module.WORLDS
        CLOCKS.update(dict.fromkeys(module.WORLDS, getattr(module, "CLOCK", "movable")))
    for service in sorted(set(service_names(Path(__file__).parents[2])) - set(WITHOUT_DEVICE)):
        for name in [f"{service}:{profile}" for profile in profile_names(service)] or [f"{service}:"]:
            if not any(known.startswith(name) for known in worlds):
                worlds[name] = _missing
    return worlds


WORLDS = _all()
