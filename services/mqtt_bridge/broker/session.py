"""One connection to the broker: what comes by it, what goes by it, and how it has ended."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Callable, Sequence

from device_bridge import DeviceError, DeviceErrorKind, Result
from device_bridge.outbox import AnyOutbox, Delivery, Inbound
from iofog_sdk import ConnectionLost, LinkError, MessageError, NodeUnreachable
from iofog_sdk.mqtt import DuplicateFilter, MqttConnection, MqttOptions, Publication, ReceivedMessage

from ..to_mqtt import ToTopics
from .arrivals import Arrivals
from .log_once import LogOnce
from .publishing import Publisher

_TICK_S = 1.0
_STEADY_AFTER_S = 10.0
_CLOSE_S = 1.0
_ANSWER_S = 1.0
"""Seconds a publication that was sent is given for its answer when its command is ended."""


class Session:
    """Open from `open` to `close`, or until the connection is lost.

    Parameters:
        options: of the connection.
        duplicates: what earlier connections of this process have acknowledged.
        is_ours: takes a message that is for the bridge itself; whether it was one.
    """

    def __init__(
        self, options: MqttOptions, duplicates: DuplicateFilter, is_ours: Callable[[ReceivedMessage], bool]
    ) -> None:
        self._options, self._is_ours = options, is_ours
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[LinkError] = loop.create_future()
        self.lost.add_done_callback(lambda _: self._any.set())
        self._connection = MqttConnection(options, self.lost, self._take, duplicates)
        self._came = Arrivals()
        self._any = asyncio.Event()
        self._up_at = math.inf
        self._outgoing: AnyOutbox | None = None
        self._publisher: Publisher | None = None
        self._taken = 0

    async def open(self, filters: Sequence[str]) -> None:
        """Connects and subscribes. Raises DeviceError."""
        try:
            await self._connection.open()
            await self._connection.subscribe(filters, echo=False)
        except LinkError as error:
            raise self._failed(error) from None
        self._up_at = asyncio.get_running_loop().time()

    def announce(self, publications: Sequence[Publication]) -> None:
        """Publishes what need not be answered, before anything else that is published later."""
        self._connection.publish(publications, lambda _: None)

    async def close(self) -> None:
        """Ends the connection; what is in the outbox now need not come again."""
        if self._outgoing is not None and not self.lost.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await self._outgoing.wait_written()
        await self._connection.close()
        self._came.leave()  # nobody has taken it: the broker sends it again

    async def messages(
        self, inbound: Inbound | None, to_topics: ToTopics, log_once: LogOnce
    ) -> AsyncGenerator[ReceivedMessage, None]:
        """Yields what comes, and publishes what waits in `inbound` meanwhile. Raises DeviceError when it is lost.

        When the next one is asked for, a message is acknowledged as soon as what it became is written. What has come
        by a connection that is lost is yielded first: a broker may have forgotten it.
        """
        loop = asyncio.get_running_loop()
        work = [loop.create_task(self._tick())]
        if inbound is not None:
            self._outgoing = inbound.outgoing
            self._publisher = Publisher(self._connection, self.lost, to_topics, inbound, log_once)
            sending = Delivery(inbound, self._publisher, lambda entry: entry.body, self._options.window)
            work.append(loop.create_task(sending.run()))
        for task in work:
            task.add_done_callback(lambda _: self._any.set())
        try:
            while True:
                while (received := self._came.take()) is not None:
                    try:
                        yield received
                    except GeneratorExit:
                        received.leave()
                        raise
                    self._taken += 1
                    self._when_written(received)
                for task in work:
                    if task.done():
                        task.result()
                if self.lost.done():
                    raise self._failed(self.lost.result())
                if self._came.is_overflown:
                    await self._begin_again()
                    continue
                self._any.clear()
                await self._any.wait()
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            if self._publisher is not None:
                self._publisher.give_up()
            self._came.leave()

    async def publish(self, publication: Publication) -> Result:
        """Publishes, and returns what the broker says to it; when cancelled, what it says within a second.

        Raises DeviceError when the connection is lost.
        """
        answered: asyncio.Future[MessageError | None] = asyncio.get_running_loop().create_future()
        self._connection.publish([publication], lambda end: None if answered.done() else answered.set_result(end))
        try:
            await asyncio.wait((answered, self.lost), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await asyncio.wait((answered, self.lost), timeout=_ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
            if not answered.done():
                detail = f"sent on {publication.topic}; the broker has not answered yet, and may have it"
                return Result(ok=False, detail=detail)
        if not answered.done():
            raise self._failed(self.lost.result())
        if (refused := answered.result()) is not None:
            return Result(ok=False, detail=f"{refused.field} {refused.rule}")
        return Result(ok=True, detail=f"published on {publication.topic}")

    def counters(self) -> dict[str, int]:
        """Messages that were dropped."""
        return {"to_iofog_dropped": self._came.dropped, "to_iofog_too_large": self._connection.too_large}

    def _take(self, received: ReceivedMessage) -> None:
        if self._is_ours(received):
            received.acknowledge()
            return
        self._came.put(received)
        self._any.set()

    def _when_written(self, received: ReceivedMessage) -> None:
        if self._outgoing is None:
            received.acknowledge()
        else:
            self._outgoing.when_written(received.acknowledge)

    async def _begin_again(self) -> None:
        """Has the broker send what had to be left to it: it does so on a new connection."""
        if self._outgoing is not None:
            waiting = asyncio.ensure_future(self._outgoing.wait_written())
            await asyncio.wait((waiting, self.lost), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        self._connection.abort(ConnectionLost("more messages than can be held at once; the rest comes again"))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._connection.tick()
            if self._publisher is not None:
                self._publisher.check()

    def _failed(self, error: LinkError) -> DeviceError:
        is_gone = not isinstance(error, NodeUnreachable) and self._was_useful
        kind = DeviceErrorKind.GONE if is_gone else DeviceErrorKind.UNREACHABLE
        server = self._options.server
        return DeviceError(kind, server, str(error).removeprefix("MQTT: ").removeprefix(server).lstrip(": "))

    @property
    def _was_useful(self) -> bool:
        """Whether the connection has carried anything, or lasted: else the next one waits longer and longer.

        What comes says little while answers are missing: a broker may end each connection over the first publication.
        """
        if asyncio.get_running_loop().time() - self._up_at >= _STEADY_AFTER_S:
            return True
        if self._publisher is not None and (self._publisher.answered or self._publisher.is_waiting):
            return self._publisher.answered > 0
        return self._taken > 0
