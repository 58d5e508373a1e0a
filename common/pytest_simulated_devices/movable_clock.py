"""An event loop on a clock of its own, which jumps to the next timer when everything has been done.

Intervals, time limits and back-off of minutes then pass in milliseconds, in their exact order, however busy the
machine is. Everything that a test waits for has to be on the loop, or come through UNIX sockets with both ends on it:
the kernel passes their bytes on at once. What would run in a thread is carried out on the loop. Processes, terminals
and networks need the real clock, for nothing tells this one to wait for them.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

LONGEST_TEST_S = 30 * 86_400.0
"""A test that has waited so long on its clock waits for ever."""


class _Selector(selectors.DefaultSelector):
    """Never sleeps: says how long it would have."""

    def __init__(self, on_idle: Callable[[float | None], None]) -> None:
        super().__init__()
        self._on_idle = on_idle

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            self._on_idle(timeout)
        return ready


class MovableClockLoop(asyncio.SelectorEventLoop):
    """The loop; its clock shows what a machine has that was just started."""

    latency_s = 0.001
    """Of what would run in a thread."""

    def __init__(self) -> None:
        self._now_s = 1000.0
        super().__init__(_Selector(self._idle))

    def time(self) -> float:
        """Seconds, on its clock."""
        return self._now_s

    def run_in_executor(  # type: ignore[override] # the names that asyncio gives are its own
        self, executor: Any, function: Callable[..., Any], *arguments: Any
    ) -> asyncio.Future[Any]:
        """Calls the function on the loop, after `latency_s`."""
        answer: asyncio.Future[Any] = self.create_future()

        def call() -> None:
            if answer.cancelled():
                return
            try:
                answer.set_result(function(*arguments))
            except BaseException as error:
                answer.set_exception(error)

        self.call_later(self.latency_s, call)
        return answer

    def _idle(self, seconds: float | None) -> None:
        if seconds is None or self._now_s > LONGEST_TEST_S:
            raise RuntimeError("the test waits for something that is not on the event loop")
        self._now_s += seconds


class Clock:
    """The fixture `clock`: a test that asks for it runs on a movable clock."""

    def now(self) -> float:
        """Seconds, on the test's clock; the same for emulated devices."""
        return now()

    async def advance(self, seconds: float) -> None:
        """Lets so many seconds pass, with all that is due in them."""
        await asyncio.sleep(seconds)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine on a new loop with a movable clock."""
    with asyncio.Runner(loop_factory=MovableClockLoop) as runner:
        runner.run(work)


def now() -> float:
    """The clock of the running loop, for emulated devices."""
    return asyncio.get_running_loop().time()


def now_ns() -> int:
    """The same in nanoseconds."""
    return round(now() * 1e9)


def is_movable() -> bool:
    """Whether the running loop's clock is movable."""
    return isinstance(asyncio.get_running_loop(), MovableClockLoop)
