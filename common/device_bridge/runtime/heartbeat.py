"""A heartbeat for a container's health check: seconds since boot, written to a file while the event loop turns.

The check compares them with `/proc/uptime`. A file in memory (`/dev/shm`) wears no flash, and a shell reads it in a
millisecond, where an HTTP request would start an interpreter on a small board every time.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from ..clocks import since_boot

log = logging.getLogger("device_bridge")

INTERVAL_S = 10.0


async def beat(file: Path, interval_s: float = INTERVAL_S) -> None:
    """Writes until cancelled; ends, with a warning, when the file cannot be written."""
    while True:
        try:
            file.write_text(f"{int(since_boot())}\n")
        except OSError as error:
            log.warning(
                "no heartbeat for health checks: HEARTBEAT_FILE %s: %s; name a file in memory that may be written",
                file,
                error.strerror,
            )
            return
        await asyncio.sleep(interval_s)
