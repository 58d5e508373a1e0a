"""The page's HTTP server, on aiohttp."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from device_bridge.telemetry import Listener

from ..board import Board
from ..history import History
from ..settings import PageSettings
from .api import Api
from .security import guard
from .stream import FrameStream
from .switching import Switching

_PAGE = Path(__file__).parent.parent / "page"
_MAX_BODY = 16 * 1024
_MAX_CONNECTIONS = 64
"""Beside those of open pages."""
_STOP_S = 1.0


class PageServer:
    """Serves the page, its data and its stream.

    Parameters:
        settings: where, and to how many.
        board, history: what is shown.
        switching: takes commands.
        link: whether the node is connected, and why not.
    """

    def __init__(
        self,
        settings: PageSettings,
        board: Board,
        history: History,
        switching: Switching,
        link: Callable[[], tuple[bool, str]],
    ) -> None:
        self._settings = settings
        self.stream = FrameStream(board, settings.clients, link)
        api = Api(settings, board, history, switching, self.stream)
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[guard(settings.names)])
        app.add_routes(
            [
                web.get("/", _file(_PAGE / "index.html")),
                web.get("/api/stream", self.stream.serve),
                *api.routes(),
                web.static("/page", _PAGE),
            ]
        )
        app.on_response_prepare.append(_revalidate)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=30, shutdown_timeout=_STOP_S)
        self._listener = Listener("the page", self._take, self._make_room)
        self._connecting: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return self._listener.port

    async def open(self) -> None:
        """Listens. Raises OSError."""
        await self._runner.setup()
        await self._listener.start(self._settings.host, self._settings.port)

    async def close(self) -> None:
        """Stops listening and ends all connections."""
        await self._listener.close()
        await asyncio.gather(*self._connecting)  # else one that comes now would be left open
        await self._runner.cleanup()

    def _take(self, client: socket.socket) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(client))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, client: socket.socket) -> None:
        server = self._runner.server
        assert server is not None  # noqa: S101 - after setup
        if len(server.connections) >= _MAX_CONNECTIONS + self._settings.clients:
            self._make_room()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(server, client)
        except OSError:  # it is gone already
            client.close()

    def _make_room(self) -> None:
        """Ends the oldest connection that is no open page."""
        connections = self._runner.server.connections if self._runner.server is not None else []
        for oldest in (each for each in connections if each not in self.stream.connections):
            oldest.force_close()
            return


def _file(path: Path) -> Callable[[web.Request], Awaitable[web.FileResponse]]:
    async def answer(_: web.Request) -> web.FileResponse:
        return web.FileResponse(path)

    return answer


async def _revalidate(_: web.Request, response: web.StreamResponse) -> None:
    """Files of the page are asked for again each time: after an update nobody has half of the old page."""
    response.headers.setdefault("Cache-Control", "no-cache")
