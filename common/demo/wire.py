"""The wire between a service and its agent, which can be cut."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

_BLOCK = 65_536


class Wire:
    """Passes TCP connections on to a port of this machine. Use it as an asynchronous context manager.

    Parameters:
        to: the port.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        self.port = 0
        """Where it listens."""
        self.is_cut = False
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def cut(self) -> None:
        """Ends all connections, and lets no other through."""
        self.is_cut = True
        for task in self._connections:
            task.cancel()

    def repair(self) -> None:
        """Lets connections through again."""
        self.is_cut = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this in one
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if not self.is_cut:
                await self._connect(reader, writer)
        writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_agent, to_agent = await asyncio.open_connection("127.0.0.1", self._to)
        pumps = [asyncio.ensure_future(_pump(reader, to_agent)), asyncio.ensure_future(_pump(from_agent, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            to_agent.transport.abort()
            await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_BLOCK):
        writer.write(data)
        await writer.drain()
