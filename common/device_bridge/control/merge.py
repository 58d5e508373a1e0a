"""One stream of samples out of several sources, each of them a task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any

from ..reading import Sample

Put = Callable[[Sample], Awaitable[None]]
"""Hands a sample over; waits until there is room for it."""
Source = Callable[[Put], Coroutine[Any, Any, None]]


async def merged(sources: Iterable[Source]) -> AsyncIterator[Sample]:
    """Runs all sources and yields their samples as they come.

    Parameters:
        sources: each runs until cancelled; an exception of one ends all.
    """
    waiting = list(sources)
    found: asyncio.Queue[Sample | Exception] = asyncio.Queue(maxsize=len(waiting))

    async def run(source: Source) -> None:
        try:
            await source(found.put)
        except Exception as error:
            await found.put(error)

    tasks = [asyncio.create_task(run(source)) for source in waiting]
    try:
        while True:
            sample = await found.get()
            if isinstance(sample, Exception):
                raise sample
            yield sample
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
