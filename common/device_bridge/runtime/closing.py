"""Closes a device within a time limit, whatever its service does."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ..service import DeviceService

log = logging.getLogger("device_bridge")


CLOSE_S = 3.0
"""Seconds a service is given to close its device; the process has ten to end in."""


_ABANDON_S = 0.5


async def close_service(service: DeviceService[Any], tasks: list[asyncio.Task[Any]]) -> None:
    """Waits for the end of tasks that were cancelled, then closes the device; takes so long and no longer."""
    if tasks:
        await asyncio.wait(tasks, timeout=CLOSE_S / 2)
    closing = asyncio.get_running_loop().create_task(service.close())
    await asyncio.wait((closing,), timeout=CLOSE_S)
    if not closing.done():
        log.error("%s: closing the device takes longer than %g s and was abandoned", service.name(), CLOSE_S)
        closing.cancel()
        await asyncio.wait((closing,), timeout=_ABANDON_S)
    elif not closing.cancelled() and (error := closing.exception()) is not None:
        log.error("%s: closing the device failed: %s: %s", service.name(), type(error).__name__, error)
