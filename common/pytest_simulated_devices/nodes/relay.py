"""A TCP relay that can misbehave: it stands between a service and a server that is real and knows nothing of it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self


class Relay:
    """Passes bytes on, unless a fault is set. Use it as an asynchronous context manager; `port` is then its own.

    Attributes `hang`, `delay_s`, `swallow` (what the server says is thrown away), `mute` (what the client says) and
    `garbage` (which the client gets in its place) hold for all connections; `drop` breaks them. With `half_open`, the
    server does not hear of a client that is gone.

    Parameters:
        port: of the server, on this machine.
    """

    port = 0

    def __init__(self, port: int) -> None:
        self._to = port
        self.heal()
        self._streams: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def heal(self) -> None:
        """Ends all faults."""
        self.hang = self.swallow = self.mute = self.refuse = self.half_open = False
        self.delay_s, self.garbage, self.swallowed = 0.0, b"", 0

    def drop(self) -> None:
        """Breaks all connections."""
        for stream in list(self._streams):
            stream.transport.abort()

    def drop_clients(self) -> None:
        """Breaks the clients' side."""
        for stream in list(self._clients):
            stream.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.drop()  # now that no task opens another one
        await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams.add(writer)
        self._clients.add(writer)
        try:
            if self.refuse:
                return
            there, to = await asyncio.open_connection("127.0.0.1", self._to)
            self._streams.add(to)
            pumps = [
                asyncio.ensure_future(self._pump(reader, to, answers=False)),
                asyncio.ensure_future(self._pump(there, writer, answers=True)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            if not self.half_open:
                self._streams.discard(to)
                to.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass  # the server is away, or the test has ended
        finally:
            self._streams.discard(writer)
            self._clients.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                while self.hang:  # noqa: ASYNC110 - tests write the attribute
                    await asyncio.sleep(0.01)
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if self.swallow if answers else self.mute:
                    self.swallowed += len(data)
                    continue
                writer.write(self.garbage if answers and self.garbage else data)
                await writer.drain()
