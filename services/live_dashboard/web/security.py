"""Headers of every answer, and which names of this host are answered at all."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Collection

from aiohttp import web
from aiohttp.typedefs import Middleware

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_LOCAL = (".local", ".localhost", ".lan", ".home.arpa", ".internal")


def is_known_host(host: str, names: Collection[str]) -> bool:
    """Whether a browser that asks for this host cannot have been led here by somebody else's domain (DNS rebinding).

    Parameters:
        host: of the request, with or without port.
        names: with a dot, that are this page's.
    """
    name = host.lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    name = name.rstrip(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." not in name or name.endswith(_LOCAL) or name in {one.lower() for one in names}
    return True


def guard(names: Collection[str]) -> Middleware:
    """A middleware that puts the headers on every answer, and answers nothing to other names of this host."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_known_host(request.host, names):
            text = f"this page is not known as {request.host[:200]!r}; put that name into the setting page.names\n"
            return web.Response(status=421, text=text, headers=HEADERS)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    return middleware
