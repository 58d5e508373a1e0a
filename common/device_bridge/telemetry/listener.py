"""Takes TCP connections for a server, also on a system that runs out of what they need."""

from __future__ import annotations

import asyncio
import errno
import functools
import logging
import socket
from collections.abc import Callable

from iofog_sdk.links import run_always

log = logging.getLogger("device_bridge")

_BACKLOG = 64
_RETRY_S = 1.0
_GONE_S = 0.01
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener:
    """Accepts connections one by one. Without descriptors it says so once, and tries again each second.

    asyncio's own servers log an error for each of their attempts then, hundreds a second and more with the time.

    Parameters:
        name: of what is served, for the log.
        take: gets each connection, which does not block.
        make_room: ends the least needed connection; is called while the system has none to give.
    """

    def __init__(self, name: str, take: Callable[[socket.socket], None], make_room: Callable[[], None]) -> None:
        self._name, self._take, self._make_room = name, take, make_room
        self.host, self.port = "", 0
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port, which matters when 0 asked for any. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, _, _, _, address in dict.fromkeys(found):
                self._sockets.append(socket.create_server(address[:2], family=family, backlog=_BACKLOG))
        except OSError:
            self._close_sockets()
            raise
        self.host, self.port = host, self._sockets[0].getsockname()[1]
        for each in self._sockets:
            each.setblocking(False)
            accept = functools.partial(self._accept, each)
            self._accepting.append(loop.create_task(run_always(self._name, accept)))
        return self.port

    async def close(self) -> None:
        """Stops listening; harmless when it does not."""
        ending, self._accepting = self._accepting, []
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        self._close_sockets()

    def _close_sockets(self) -> None:
        while self._sockets:
            self._sockets.pop().close()

    async def _accept(self, listening: socket.socket) -> None:
        loop, is_exhausted = asyncio.get_running_loop(), False
        while True:
            try:
                client, _ = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    await asyncio.sleep(_GONE_S)  # that client is gone already, or none is let in
                    continue
                if not is_exhausted:
                    log.error("%s cannot be served for now: %s", self._name, error.strerror)
                is_exhausted = True
                self._make_room()
                await asyncio.sleep(_RETRY_S)
                continue
            if is_exhausted:
                log.info("%s can be served again", self._name)
                is_exhausted = False
            self._take(client)
