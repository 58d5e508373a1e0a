"""One stream of samples out of several sources, each of them a task."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any

from ..reading import Sample, aged

Put = Callable[[Sample], Awaitable[None]]
"""Hands a sample over; waits until there is room for it, unless `merged` was asked not to."""
Source = Callable[[Put], Coroutine[Any, Any, None]]


def without_samples(work: Callable[[], Awaitable[None]]) -> Source:
    """Work that runs beside the sources of a stream, and has no samples itself."""

    async def run(_: Put) -> None:
        await work()

    return run


async def merged(
    sources: Iterable[Source], *, most: int = 0, dropped: Callable[[Sample], None] = lambda _: None
) -> AsyncIterator[Sample]:
    """Runs all sources and yields their samples as they come; one that had to wait has the time of its coming.

    Parameters:
        sources: each runs until cancelled; an exception of one ends all.
        most: samples that may wait while nobody takes them; the oldest ones give way to others, and no source waits,
            so that what it does besides goes on. 0: sources wait, and nothing gives way.
        dropped: is given each sample that gave way.
    """
    tasks: list[asyncio.Task[None]] = []
    waiting: deque[tuple[float, Sample]] = deque()
    failed: list[Exception] = []
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def put(sample: Sample) -> None:
        came_at = loop.time()
        if most and len(waiting) >= most:
            dropped(waiting.popleft()[1])
        while not most and len(waiting) >= len(tasks):
            changed.clear()
            await changed.wait()
        waiting.append((came_at, sample))
        changed.set()

    async def run(source: Source) -> None:
        try:
            await source(put)
        except Exception as error:
            failed.append(error)
            changed.set()

    tasks += [asyncio.create_task(run(source)) for source in sources]
    try:
        while True:
            while waiting:
                came_at, sample = waiting.popleft()
                changed.set()
                yield aged(sample, loop.time() - came_at)
            if failed:
                raise failed[0]
            changed.clear()
            await changed.wait()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
