"""Ways between the event loop and gpiozero's threads: calls into a device's thread, events out of any."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class DeviceThread:
    """Calls that block, one after another, in a thread of one device: one that takes long costs the others nothing.

    A daemon: a call that never returns does not keep the process.

    Parameters:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, work: Callable[[], T], *, always: bool = False) -> T:
        """What it returns or raises.

        Parameters:
            work: is done.
            always: also when nobody waits for it any more before it has begun.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(outcome: Callable[[Any], None], value: object) -> None:
            if not future.cancelled():
                outcome(value)

        def do() -> None:
            if future.cancelled() and not always:
                return
            outcome: Callable[[Any], None] = future.set_result
            result: object
            try:
                result = work()
            except Exception as error:
                outcome, result = future.set_exception, error
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, outcome, result)

        self._jobs.put(do)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        return await future

    def end(self) -> None:
        """Ends after what it has been given so far."""
        self._jobs.put(None)
        self._thread = None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


class EventQueue(Generic[T]):
    """Passes what happens in gpiozero's threads to the event loop; no object of the loop is touched by them.

    Parameters:
        loop: that takes it.
        max_size: how much may wait; the oldest gives way, and is counted.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, max_size: int = 1000) -> None:
        self._loop, self._max_size = loop, max_size
        self._waiting: deque[T] = deque()
        self._lost = 0
        self._is_signalled = False
        self._turn = threading.Lock()
        self._available = asyncio.Event()

    def put(self, item: T) -> None:
        """Hands something over, in any thread."""
        with self._turn:
            if len(self._waiting) >= self._max_size:
                self._waiting.popleft()
                self._lost += 1
            self._waiting.append(item)
            if self._is_signalled:
                return
            self._is_signalled = True
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._available.set)

    async def get_all(self, within_s: float) -> tuple[list[T], int]:
        """All that has come, at least one thing unless none comes in time, and how many gave way before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._available.wait()
        self._available.clear()
        with self._turn:
            found, lost = list(self._waiting), self._lost
            self._waiting.clear()
            self._lost, self._is_signalled = 0, False
        return found, lost
