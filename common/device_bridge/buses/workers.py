"""Who does what may block: a thread, or, for an emulated device in this process, the event loop itself."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..errors import DeviceError, DeviceErrorKind

T = TypeVar("T")
Job = Callable[[], Coroutine[Any, Any, T]]


def run_blocking(work: Coroutine[Any, Any, T]) -> T:
    """The result of work with an adapter that blocks, outside of any event loop. Raises what the work raises."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        work.close()
    raise RuntimeError("this work awaits; it belongs on an event loop")


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
    """Does jobs with a device in this process on the event loop, one after another."""

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


class Worker:
    """Does jobs one after another, and has nobody wait for ever for one that does not end.

    Parameters:
        device: what the jobs are with, as errors name it.
        thread: name of the thread; "" for a device in this process, which needs none.
    """

    def __init__(self, device: str, thread: str) -> None:
        self._device = device
        self._worker = ThreadWorker(thread) if thread else LoopWorker()
        self._abandoned: asyncio.Future[Any] | None = None

    @property
    def abandoned(self) -> asyncio.Future[Any] | None:
        """A job under way whose caller has left."""
        return None if self._abandoned is None or self._abandoned.done() else self._abandoned

    async def call(self, job: Job[T], limit_s: float, patience_s: float) -> T:
        """The job's result.

        Parameters:
            job: a coroutine that blocks instead of awaiting, unless the device is in this process.
            limit_s: the most that it may take.
            patience_s: the most to wait for an earlier job whose caller has left.

        Raises DeviceError (timeout) when it does not return in time, and what the job raises.
        """
        if self.abandoned is not None:
            await asyncio.wait((self.abandoned,), timeout=patience_s)
            if self.abandoned is not None:
                detail = "the kernel has not ended an earlier transfer yet"
                raise DeviceError(DeviceErrorKind.TIMEOUT, self._device, detail)
        future = self._worker.call(job)
        future.add_done_callback(_retrieve)
        try:
            done, _ = await asyncio.wait((future,), timeout=limit_s)
        except asyncio.CancelledError:
            self._abandoned = future
            raise
        if not done:
            self._abandoned = future
            detail = f"a transfer did not end within {limit_s:g} s"
            raise DeviceError(DeviceErrorKind.TIMEOUT, self._device, detail)
        return future.result()

    def end(self, last: Callable[[], None] = lambda: None) -> None:
        """Ends after the jobs given so far, and after this one, that nobody waits for."""
        self._worker.end(last)


def _retrieve(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()  # who asked may have left
