"""Who does the transfers of an I2C bus: a thread, for calls that block, or the event loop itself."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .adapter import run_blocking

T = TypeVar("T")
Job = Callable[[], Coroutine[Any, Any, T]]


class ThreadWorker:
    """Does jobs that block, one after another. A daemon: a call that never returns does not keep the process."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def call(self, job: Job[T]) -> asyncio.Future[T]:
        """The job's result, some time."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def tell(outcome: Callable[[Any], None], value: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(outcome, value)

        def do() -> None:
            try:
                result = run_blocking(job())
            except Exception as error:
                tell(future.set_exception, error)
            else:
                tell(future.set_result, result)

        self._jobs.put(do)
        return future

    def end(self, last: Callable[[], None]) -> None:
        """Ends after the jobs given so far, and after this one, that nobody waits for."""
        self._jobs.put(last)
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


class LoopWorker:
    """Does the jobs of a bus in this process on the event loop, one after another."""

    def __init__(self) -> None:
        self._latest: asyncio.Future[Any] | None = None

    def call(self, job: Job[T]) -> asyncio.Future[T]:
        """The job's result, some time."""
        latest = self._latest = asyncio.ensure_future(self._after(self._latest, job))
        return latest

    @staticmethod
    async def _after(before: asyncio.Future[Any] | None, job: Job[T]) -> T:
        if before is not None:
            await asyncio.wait((before,))
        return await job()

    def end(self, last: Callable[[], None]) -> None:
        """Does this one after the jobs given so far."""
        if self._latest is None or self._latest.done():
            last()
        else:
            self._latest.add_done_callback(lambda _: last())
