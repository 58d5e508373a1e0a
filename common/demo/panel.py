"""A page on which people break and repair the parts of a demo, and see how the gateway takes it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)
_COUNT = re.compile(
    r"^bridge_readings_(read|delivered|dropped|buffered)(?:_total)?(?:{([^}]*)})? (\S+)$", re.MULTILINE
)
_BRIDGE = re.compile(r'bridge="([^"]*)"')
_ASK_S = 2.0


class Part(NamedTuple):
    """Something that can be broken.

    Parameters:
        name: in requests; of a device, that of its bridge.
        title: for people.
        breaks: what breaking it does, for people.
        set_broken: breaks it, or repairs it.
    """

    name: str
    title: str
    breaks: str
    set_broken: Callable[[bool], Awaitable[None]]


class Panel:
    """Serves the page, on this machine alone. Use it as an asynchronous context manager.

    Parameters:
        parts: what can be broken.
        health: URL of the gateway's own pages.
        page: URL of the live page, for a link.
    """

    def __init__(self, parts: list[Part], health: str, page: str) -> None:
        self._parts = {part.name: part for part in parts}
        self._broken: set[str] = set()
        self.was_used = False
        """Whether anything was broken."""
        self._health, self._page = health, page
        self._turn = asyncio.Lock()
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where people find it."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Panel:
        application = web.Application(middlewares=[self._guard])
        application.router.add_get("/", self._index)
        application.router.add_get("/state", self._state)
        application.router.add_post("/parts/{name}/{action:break|repair}", self._act)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ASK_S))
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Refuses what other sites could have a browser send: a foreign name, a post that is not from this page."""
        if request.host not in (f"127.0.0.1:{self.port}", f"localhost:{self.port}"):
            raise web.HTTPForbidden(text="ask for it by its address")
        if request.method == "POST" and request.headers.get("X-Demo") != "panel":
            raise web.HTTPForbidden(text="only from its own page")
        response = await handler(request)
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _index(self, _: web.Request) -> web.Response:
        text = files(__package__).joinpath("panel.html").read_text(encoding="utf-8")
        return web.Response(text=text.replace("{page}", self._page), content_type="text/html")

    async def _act(self, request: web.Request) -> web.Response:
        name, is_broken = request.match_info["name"], request.match_info["action"] == "break"
        if name not in self._parts:
            raise web.HTTPNotFound(text=f"known: {', '.join(self._parts)}")
        async with self._turn:
            if is_broken != (name in self._broken):
                self.was_used = True
                await self._parts[name].set_broken(is_broken)
                (self._broken.add if is_broken else self._broken.discard)(name)
        return await self._state(request)

    async def _state(self, _: web.Request) -> web.Response:
        ready, counts = await asyncio.gather(self._ask("readyz"), self._ask("metrics"))
        bridges = ready.get("bridges", {}) if isinstance(ready, dict) else {}
        link = ready.get("link", {}) if isinstance(ready, dict) else {}
        by_bridge, total = _counts(counts if isinstance(counts, str) else "")
        parts = [
            {
                "name": part.name,
                "title": part.title,
                "breaks": part.breaks,
                "broken": part.name in self._broken,
                **_seen(part.name, bridges.get(part.name), link, is_broken=part.name in self._broken),
                "counts": by_bridge.get(part.name, {}),
            }
            for part in self._parts.values()
        ]
        return web.json_response({"parts": parts, "total": total, "page": self._page})

    async def _ask(self, page: str) -> Any:
        assert self._session is not None  # noqa: S101 - made when it was started
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
            async with self._session.get(f"{self._health}/{page}") as answer:
                return await (answer.json() if page == "readyz" else answer.text())
        return None


def _seen(name: str, bridge: Mapping[str, Any] | None, link: Mapping[str, Any], *, is_broken: bool) -> dict[str, Any]:
    """How the gateway sees a part: a device by its bridge, the wire by its link."""
    if bridge is not None:
        device, is_ready = bridge.get("device", {}), bridge.get("ready", False)
        state = device.get("state", "")
        state = "device gone" if not is_ready and state in ("open", "reading") else state
        return {"state": state, "good": is_ready, "reason": device.get("reason", "")}
    if name == "agent":
        return {"state": "stopped" if is_broken else "running", "good": not is_broken, "reason": ""}
    is_up = bool(link.get("up"))
    return {
        "state": "connected" if is_up else "away",
        "good": is_up,
        "reason": "" if is_up else link.get("reason", ""),
    }


def _counts(metrics: str) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Readings by bridge and count, and in all."""
    by_bridge: dict[str, dict[str, int]] = {}
    total: dict[str, int] = {}
    for name, labels, value in _COUNT.findall(metrics):
        number, bridge = int(float(value)), _BRIDGE.search(labels)
        total[name] = total.get(name, 0) + number
        if bridge:
            counts = by_bridge.setdefault(bridge[1], {})
            counts[name] = counts.get(name, 0) + number
    return by_bridge, total
