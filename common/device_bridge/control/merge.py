"""One stream of samples out of several sources, each of them a task."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any

import msgspec

from ..reading import Sample

Put = Callable[[Sample], Awaitable[None]]
"""Hands a sample over; waits until there is room for it, unless `merged` has been told otherwise."""
Source = Callable[[Put], Coroutine[Any, Any, None]]
_LEAST_AGE_S = 0.05
"""A younger sample is one of now."""


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
                yield _aged(sample, loop.time() - came_at)
            if failed:
                raise failed[0]
            changed.clear()
            await changed.wait()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _aged(sample: Sample, age_s: float) -> Sample:
    if age_s < _LEAST_AGE_S:
        return sample
    return [msgspec.structs.replace(one, time=one.time - age_s) if one.time <= 0 else one for one in sample]
