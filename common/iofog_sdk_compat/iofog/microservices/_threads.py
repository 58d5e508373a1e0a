"""The thread of the event loop, and the threads that call listeners."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .exception import IoFogException

log = logging.getLogger("iofog")

T = TypeVar("T")

_LAST_TURNS = 10


class LoopThread:
    """An event loop in a thread of its own, which does not keep the process running."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(_LateThreads())
        self._thread = threading.Thread(target=self._loop.run_forever, name="iofog", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs this on the loop and waits for its result. Raises IoFogException once the loop is closed."""
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise IoFogException("the client is closed") from None
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise IoFogException("the client was closed during the call") from None

    def close(self) -> None:
        """Ends what runs on the loop, and the loop."""
        with contextlib.suppress(IoFogException):
            self.run(_cancel_others())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    for _ in range(_LAST_TURNS):  # lets transports report their end, and what hears of it end as well
        await asyncio.sleep(0)


class _LateThreads(concurrent.futures.ThreadPoolExecutor):
    """A thread for each call, also after the main thread's end, when the pools of the standard library refuse any.

    The loop resolves names by it; connections outlive the main thread and reconnect.
    """

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def call() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        if future.set_running_or_notify_cancel():
            threading.Thread(target=call, name="iofog call", daemon=True).start()
        return future


class ListenerThread:
    """Calls a listener, one call after another; keeps the process running, as connections of the official SDK do."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._waiting: set[Callable[[], object]] = set()
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    @property
    def is_current(self) -> bool:
        """Whether the caller is this thread, in a call of the listener."""
        return threading.current_thread() is self._thread

    def put(self, call: Callable[[], object]) -> None:
        """Calls this after all that was put before."""
        self._calls.put(call)

    def put_once(self, call: Callable[[], object]) -> None:
        """The same, unless it waits already."""
        if call not in self._waiting:
            self._waiting.add(call)
            self._calls.put(call)

    async def call(self, call: Callable[[], object]) -> None:
        """The same, and waits for its end."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def call_and_notify() -> None:
            try:
                call()
            finally:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(done.set)

        self._calls.put(call_and_notify)
        await done.wait()

    def close(self) -> None:
        """Ends the thread when the calls that wait are done."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            self._waiting.discard(call)
            try:
                call()
            except Exception:
                log.exception("%s: a method of the listener failed", self._thread.name)
