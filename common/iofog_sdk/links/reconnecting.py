"""The base of links that carry messages only: one connection at a time, kept up by reconnecting."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from ..errors import ConnectionLost, LinkError
from ..messages.iomessage import IoMessage
from .always import run_always
from .backoff import Backoff
from .base import Link
from .in_flight import InFlight
from .inbox import Inbox
from .receipts import Outcome

log = logging.getLogger("iofog_sdk")

_TICK_S = 1.0
_CANCEL_AGAIN_S = 0.5
_STEADY_AFTER_S = 5.0


async def cancel_and_wait(task: asyncio.Task[None]) -> None:
    """Cancels a task, again and again until it has ended: some libraries swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=_CANCEL_AGAIN_S)


class ReconnectingLink(Link):
    """Messages in flight in order, an inbox, and one connection that is replaced with back-off after every loss.

    Parameters:
        name: of the transport, for the log.
        receipt_timeout_s: seconds until a missing acknowledgement closes the connection.
        window: messages waiting to be sent from which on `wait_for_room` waits.
        backoff: waiting times between attempts.
    """

    def __init__(self, name: str, receipt_timeout_s: float, window: int, backoff: Backoff | None) -> None:
        super().__init__()
        self._name, self._receipt_timeout_s, self._window = name, receipt_timeout_s, window
        self._backoff = backoff or Backoff()
        self._up = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._last_error: LinkError | None = None
        self._in_flight = InFlight(receipt_timeout_s)
        self._waiting: deque[tuple[bytes, Callable[[Outcome], None]]] = deque()
        self._inbox = Inbox()
        self._task: asyncio.Task[None] | None = None
        self._background: set[asyncio.Future[None]] = set()

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    @property
    def last_error(self) -> LinkError | None:
        return None if self.connected else self._last_error

    @property
    def dropped_incoming(self) -> int:
        return self._inbox.dropped

    async def start(self) -> None:
        if self.on_config is not None:
            self.on_config(None)  # a transport for messages has no configuration
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(run_always(self._name, self._run), name=self._name)

    async def close(self) -> None:
        if self._task is not None:
            await cancel_and_wait(self._task)
            self._task = None

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        if not self.connected:
            done(self._last_error or ConnectionLost(f"{self._name}: not connected"))
            return
        self._waiting.append((body, done))
        if len(self._waiting) >= self._window:
            self._room.clear()
        self._send_waiting()

    async def wait_connected(self) -> None:
        await self._up.wait()

    async def wait_for_room(self) -> None:
        await self._room.wait()

    async def get_config(self) -> str | None:
        return None

    def messages(self) -> AsyncIterator[IoMessage]:
        return self._inbox.messages()

    @abc.abstractmethod
    def _session(self, lost: asyncio.Future[LinkError]) -> contextlib.AbstractAsyncContextManager[None]:
        """One connection: opened and ready on entry, closed on exit. Raises LinkError.

        Parameters:
            lost: the session sets the reason here when the connection ends by itself.
        """

    @abc.abstractmethod
    def _send_waiting(self) -> None:
        """Sends waiting messages, as far as the window allows."""

    def _tick(self) -> None:
        """Called every second while connected."""

    def _run_in_background(self, work: Awaitable[object]) -> None:
        async def ignore_loss() -> None:
            with contextlib.suppress(LinkError):
                await work

        task = asyncio.ensure_future(ignore_loss())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _run(self) -> None:
        while True:
            error = await self._one_connection()
            if self._last_error is None or str(error) != str(self._last_error):
                log.warning("%s is down: %s", self._name, error)
            self._last_error = error
            await asyncio.sleep(self._backoff.next_s())

    async def _one_connection(self) -> LinkError:
        loop = asyncio.get_running_loop()
        lost: asyncio.Future[LinkError] = loop.create_future()
        steady_at, acknowledged = float("inf"), self._in_flight.acknowledged
        try:
            async with self._session(lost):
                steady_at = loop.time() + _STEADY_AFTER_S
                self._up.set()
                try:
                    return await self._wait_until_lost(lost, lambda: self._is_useful(steady_at, acknowledged))
                finally:
                    self._up.clear()
        except LinkError as error:
            return lost.result() if lost.done() else error
        except Exception as error:
            log.exception("%s: unexpected error; reconnecting", self._name)
            return ConnectionLost(f"{self._name}: {type(error).__name__}: {error}")
        finally:
            if self._is_useful(steady_at, acknowledged):
                self._backoff.reset()
            self._fail_all(lost.result() if lost.done() else ConnectionLost(f"{self._name}: connection closed"))

    def _is_useful(self, steady_at: float, acknowledged: int) -> bool:
        return self._in_flight.acknowledged > acknowledged or asyncio.get_running_loop().time() >= steady_at

    async def _wait_until_lost(self, lost: asyncio.Future[LinkError], is_useful: Callable[[], bool]) -> LinkError:
        logged = False
        while True:
            # After a failure it is logged when it has carried something: one that is denied everything would flap.
            if not logged and (self._last_error is None or is_useful()):
                log.info("%s is up: %s", self._name, self.description)
                logged, self._last_error = True, None
            done, _ = await asyncio.wait((lost,), timeout=min(_TICK_S, self._receipt_timeout_s / 4))
            if done:
                return lost.result()
            if error := self._in_flight.timeout_error():
                return error
            self._tick()

    def _fail_all(self, error: LinkError) -> None:
        self._in_flight.fail(error)
        waiting, self._waiting = self._waiting, deque()
        for _, done in waiting:
            done(error)
        self._room.set()
