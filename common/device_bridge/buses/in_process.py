"""Emulated devices in this process: `sim:` and a name is the one attached under it, if there is one.

Everything then happens on one event loop, and keeps to its clock: see `clock` in pytest_simulated_devices.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

SIMULATED = "sim:"
"""A path that begins so is an emulated device."""

_attached: dict[str, Any] = {}


@contextlib.contextmanager
def attached(name: str, device: object) -> Iterator[None]:
    """Within the block, `sim:` and this name is the device.

    Parameters:
        name: mostly the path of a socket that a device in another process would have.
        device: with `answer` for I2C (`SimulatedI2cBus`), with `open_service_end` for a serial line
            (`InProcessSerialLine`).
    """
    _attached[f"{SIMULATED}{name}"] = device
    try:
        yield
    finally:
        del _attached[f"{SIMULATED}{name}"]


def attached_at(path: str) -> Any:
    """The device at a path, None for none in this process."""
    return _attached.get(path)
