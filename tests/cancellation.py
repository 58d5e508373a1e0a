"""Cancels a coroutine at one of its suspensions, counted from 1: what runs a scenario again for each of them."""

import asyncio
import types


@types.coroutine
def stepped(work, suspended=lambda: None, thrown=lambda error: error):
    """Awaits a coroutine.

    Parameters:
        suspended: called each time it is suspended.
        thrown: gives what is raised in it instead of an error that it is to go on with.
    """
    step, argument = work.send, None
    while True:
        try:
            future = step(argument)
        except StopIteration as end:
            return end.value
        suspended()
        try:
            step, argument = work.send, (yield future)
        except BaseException as error:
            step, argument = work.throw, thrown(error)


class Suspensions:
    """How often a coroutine has been suspended, and at which of these it is cancelled.

    Parameters:
        cancel_at: which one; 0 for none.
    """

    def __init__(self, cancel_at=0):
        self.count = 0
        self._cancel_at = cancel_at

    def through(self, work):
        """Awaits a coroutine; its task is cancelled while it is suspended for the given time."""
        return stepped(work, self._count)

    def _count(self):
        self.count += 1
        if self.count == self._cancel_at:
            asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
