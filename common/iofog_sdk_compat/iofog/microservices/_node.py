"""The calls of a microservice to its node, on the event loop.

A Java agent with message routes (ioFog 3.0 to 3.6) is asked by REST; every other node, and all that is not a request,
goes by the link of `iofog_sdk`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from iofog_sdk import (
    ConnectionLost,
    IoMessage,
    Link,
    LocalApiClient,
    LocalApiControl,
    Outcome,
    Receipt,
    RequestRefused,
    SplitLink,
)

from .exception import IoFogException

T = TypeVar("T")

_CONNECT_S = 30.0
_NEXT_S = 0.05
"""For a message that has arrived to become visible."""
_NEXT_MAX = 1000
_NOT_FOUND = 404


class Node:
    """What `Client` calls.

    Parameters:
        link: not yet started.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._control = link.control if isinstance(link, SplitLink) else None
        self._api = self._control.client if isinstance(self._control, LocalApiControl) else None
        self._has_message_routes = True
        self._starting: asyncio.Future[None] | None = None
        self._incoming: AsyncIterator[IoMessage] | None = None
        self._next: asyncio.Future[IoMessage] | None = None
        self._receiving: asyncio.Future[None] | None = None

    async def get_config(self) -> str | None:
        return await self._link.get_config()

    async def edge_resources(self) -> Any:
        if self._api is None:
            raise IoFogException("this node has no edge resources: Java agents from 3.0 have them")
        return await self._api.edge_resources()

    async def query(self, start_ms: int, end_ms: int, publishers: Sequence[str]) -> list[IoMessage]:
        found = await self._by_rest(lambda api: api.query_messages(start_ms, end_ms, publishers))
        if found is None:
            raise IoFogException("this node keeps no messages to query: Java agents of ioFog 3.0 to 3.6 do")
        return found

    async def post(self, message: IoMessage) -> Receipt:
        receipt = await self._by_rest(lambda api: api.post_message(message))
        if receipt is None:
            await self._connect()
            receipt = await self._link.send(message)
        return receipt

    async def next_messages(self) -> list[IoMessage]:
        """What waits for this microservice; nothing while a listener is given its messages."""
        if self._receiving is not None:
            return []
        found = await self._by_rest(lambda api: api.next_messages())
        if found is not None:
            return found
        await self._connect()
        self._incoming = self._incoming or self._link.messages()
        found = []
        while len(found) < _NEXT_MAX:
            self._next = self._next or asyncio.ensure_future(anext(self._incoming))
            done, _ = await asyncio.wait((self._next,), timeout=_NEXT_S)
            if not done:
                break
            found.append(self._next.result())
            self._next = None
        return found

    async def receive(self, handle: Callable[[IoMessage], Awaitable[None]]) -> None:
        """Gives every message to this from now on, one after another."""
        await self._start()
        self._receiving = asyncio.ensure_future(self._receive(handle))

    async def follow(self, on_config: Callable[[str | None], None], on_edge_resources: Callable[[], None]) -> None:
        """Reports changes of the configuration and of edge resources from now on."""
        if self._control is None:
            raise IoFogException(f"{self._link.description} carries messages alone, and has no control connection")
        self._link.on_config, self._control.on_edge_resources = on_config, on_edge_resources
        await self._control.start()
        self._control.refresh()

    async def send(self, message: IoMessage, done: Callable[[Outcome], None]) -> None:
        """Sends a message over the connection; its outcome comes later, an error that is known at once is raised."""
        message.publisher = message.publisher or self._link.microservice_id
        body = self._link.encode(message)
        await self._connect()
        await self._link.wait_for_room()
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._link.post(body, outcome.set_result)
        if outcome.done() and not isinstance(result := outcome.result(), Receipt):
            raise result
        outcome.add_done_callback(lambda future: done(future.result()))

    async def close(self) -> None:
        await self._link.close()

    async def _by_rest(self, ask: Callable[[LocalApiClient], Awaitable[T]]) -> T | None:
        """What an agent with message routes answers; None for every other node."""
        if self._api is None or not self._has_message_routes:
            return None
        try:
            return await ask(self._api)
        except RequestRefused as refusal:
            if refusal.status != _NOT_FOUND:
                raise
            self._has_message_routes = False  # an agent of 3.7
            return None

    async def _receive(self, handle: Callable[[IoMessage], Awaitable[None]]) -> None:
        if self._next is not None:  # asked for by the last `next_messages`
            await handle(await self._next)
        async for message in self._incoming or self._link.messages():
            await handle(message)

    async def _start(self) -> None:
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._link.start())
        await asyncio.shield(self._starting)

    async def _connect(self) -> None:
        await self._start()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self._link.wait_connected()
        except TimeoutError:
            raise self._link.last_error or ConnectionLost(f"not connected within {_CONNECT_S:g} s") from None
