"""The end of a connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

_CLOSE_S = 2.0


async def close_or_abort(closing: Awaitable[object], abort: Callable[[], None]) -> None:
    """Gives a connection two seconds to end in order, what it still sends and TLS included; then ends it at once.

    Parameters:
        closing: waits for its orderly end; an OSError of it changes nothing.
        abort: leaves no socket open; harmless when none is.
    """
    try:
        with contextlib.suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(_CLOSE_S):
                await closing
    finally:
        abort()
