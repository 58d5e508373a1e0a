"""Tasks that nobody waits for, and that have to go on whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger("iofog_sdk")

_PAUSE_S = 1.0


async def run_always(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Has work done until it returns or is cancelled; after an unexpected error it is begun again, a second later.

    For a task whose end nobody would notice: what it does is not done any more, and all else goes on.

    Parameters:
        name: of the work, for the log.
        work: begins it.
    """
    while True:
        try:
            return await work()
        except Exception:
            log.exception("%s: unexpected error; begun again in %g s", name, _PAUSE_S)
        await asyncio.sleep(_PAUSE_S)
