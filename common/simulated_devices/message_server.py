"""A UNIX socket on which services reach emulated hardware: msgpack, each message after its length in four bytes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec

log = logging.getLogger(__name__)
T = TypeVar("T")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]

_MAX_BYTES = 1 << 16


class MessageServer:
    """The socket and its connections.

    Parameters:
        path: of the socket.
        serve: serves one connection; exceptions close it.
    """

    def __init__(self, path: Path, serve: Serve) -> None:
        self._path, self._serve = path, serve
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def disconnect(self) -> None:
        """Drops all connections; clients may reconnect."""
        for task in self._clients:
            task.cancel()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serves within the block."""
        server = await asyncio.start_unix_server(self._accept, self._path)
        try:
            yield
        finally:
            for _ in range(4):  # the steps of asyncio from an accepted socket to `_accept`
                await asyncio.sleep(0)
            server.close()
            clients = dict(self._clients)
            self.disconnect()
            await asyncio.gather(*clients, return_exceptions=True)
            await asyncio.gather(*(writer.wait_closed() for writer in clients.values()), return_exceptions=True)
            self._path.unlink(missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._contained(reader, writer))
        self._clients[task] = writer
        task.add_done_callback(lambda _: self._clients.pop(task, writer).close())

    async def _contained(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        except (ValueError, KeyError, IndexError, TypeError, msgspec.DecodeError) as error:
            log.warning("not a message, connection closed: %s", error)


async def read_message(reader: asyncio.StreamReader, kind: type[T]) -> T:
    """The next message. Raises ValueError or DecodeError for anything else, IncompleteReadError at the end."""
    length = int.from_bytes(await reader.readexactly(4), "big")
    if length > _MAX_BYTES:
        raise ValueError(f"a message of {length} bytes")
    return msgspec.msgpack.decode(await reader.readexactly(length), type=kind)


async def write_message(writer: asyncio.StreamWriter, message: object) -> None:
    """Sends a message."""
    data = msgspec.msgpack.encode(message)
    writer.write(len(data).to_bytes(4, "big") + data)
    await writer.drain()
