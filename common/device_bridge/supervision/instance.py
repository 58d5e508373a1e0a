"""One instance of a service: all that is being done with its device, and an end that is bounded in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from ..command import Command, CommandError, Result
from ..service import DeviceService

log = logging.getLogger("device_bridge")

CLOSE_S = 3.0
"""Seconds a service is given to close its device; the process has ten to end in."""
MAX_EXECUTING = 10
_CANCEL_S = 1.0
"""Seconds that cancelled work is given to leave the device in order."""
_ABANDON_S = 0.25
_CLOSED = Result(ok=False, detail="the device was closed before it had done it")


class Instance:
    """A service's instance and the tasks that work with it.

    Parameters:
        make: makes the service's instance; called by `open`.
    """

    def __init__(self, make: Callable[[], DeviceService[Any]]) -> None:
        self._make = make
        self.service: DeviceService[Any] | None = None
        """None before it is made."""
        self._tasks: dict[asyncio.Task[Any], Callable[[BaseException | None], None]] = {}
        self._executing: dict[asyncio.Task[Result], asyncio.Future[None]] = {}

    async def open(self) -> None:
        """Makes the instance and opens its device; raises what the service does."""
        self.service = self._make()
        await self.service.open()

    def start(self, work: Coroutine[Any, Any, None], on_end: Callable[[BaseException | None], None]) -> None:
        """Has work done until the device is closed.

        Parameters:
            work: what is to be done.
            on_end: called when it ends before that, with its error.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = on_end
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        error = asyncio.CancelledError("it was cancelled") if task.cancelled() else task.exception()
        on_end = self._tasks.pop(task, None)
        if on_end is not None:
            on_end(error)
        elif error is not None and not task.cancelled():
            log.debug("while the device was being closed: %s: %s", type(error).__name__, error)

    async def execute(self, command: Command) -> Result:
        """The result of a command; a failed one when the device is closed before. Raises what the service does."""
        assert self.service is not None  # noqa: S101 - it has been opened
        if len(self._executing) >= MAX_EXECUTING:
            raise CommandError(f"{MAX_EXECUTING} earlier ones were cancelled and have not ended")
        loop = asyncio.get_running_loop()
        task, closed = loop.create_task(self.service.execute(command)), loop.create_future()
        self._executing[task] = closed
        task.add_done_callback(self._executed)
        try:
            await asyncio.wait((task, closed), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait((task,), timeout=_CANCEL_S)
            raise
        return task.result() if task.done() and not task.cancelled() else _CLOSED

    def _executed(self, task: asyncio.Task[Result]) -> None:
        self._executing.pop(task, None)
        if not task.cancelled():
            task.exception()  # who waits for it raises it, if anybody still does

    async def close(self, *, finish_s: float = 0.0) -> None:
        """Cancels all work, commands first, then closes the device. Takes so long and no longer, and never raises.

        Parameters:
            finish_s: seconds that commands under way are given before they are cancelled.
        """
        if self._executing and finish_s:
            await asyncio.wait(self._executing, timeout=finish_s)
        tasks = [*self._executing, *self._tasks]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=_CANCEL_S)
            for task in pending:
                log.error("%s does not end when it is cancelled; the device is closed all the same", task.get_coro())
        for closed in self._executing.values():
            closed.set_result(None)
        if self.service is not None:
            await _close_service(self.service)


async def _close_service(service: DeviceService[Any]) -> None:
    closing = asyncio.get_running_loop().create_task(service.close())
    await asyncio.wait((closing,), timeout=CLOSE_S)
    if not closing.done():
        log.error("%s: closing the device takes longer than %g s and was abandoned", service.name(), CLOSE_S)
        closing.cancel()
        await asyncio.wait((closing,), timeout=_ABANDON_S)
    elif not closing.cancelled() and (error := closing.exception()) is not None:
        log.error("%s: closing the device failed: %s: %s", service.name(), type(error).__name__, error)
