"""The page's HTTP server, on aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

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
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        """Listens. Raises OSError."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._protocol, self._settings.host, self._settings.port, reuse_address=True, backlog=64
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stops listening and ends all connections."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.Protocol:
        """For a new connection; with too many of them the oldest that is no open page makes room."""
        server = self._runner.server
        assert server is not None  # noqa: S101 - after setup
        connections = server.connections
        if len(connections) >= _MAX_CONNECTIONS + self._settings.clients:
            connections[0].force_close()
        return server()


def _file(path: Path) -> Callable[[web.Request], Awaitable[web.FileResponse]]:
    async def answer(_: web.Request) -> web.FileResponse:
        return web.FileResponse(path)

    return answer


async def _revalidate(_: web.Request, response: web.StreamResponse) -> None:
    """Files of the page are asked for again each time: after an update nobody has half of the old page."""
    response.headers.setdefault("Cache-Control", "no-cache")
