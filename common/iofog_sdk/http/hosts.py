"""The names ioFog gives a node inside its containers, and where it is when it has given none."""

from __future__ import annotations

import asyncio

AGENT_HOST = "iofog"
"""Java agents put it into the hosts file of containers they start."""
EDGELET_HOST = "edgelet.default.svc.bridge.local"
"""Edgelet's resolver knows it, and its certificate is for it."""
_LOOPBACK = "127.0.0.1"
_ANSWER_S = 3.0
"""Both names are known on the machine itself; a resolver that asks the network may take much longer to say no."""


async def found(host: str) -> str:
    """Where to connect to: asked anew for every connection, for a resolver may begin later than a container.

    A container on the host's network gets neither name, but has its node on the loopback.
    """
    if host in (AGENT_HOST, EDGELET_HOST):
        try:
            async with asyncio.timeout(_ANSWER_S):
                await asyncio.get_running_loop().getaddrinfo(host, None)
        except OSError:  # TimeoutError is one
            return _LOOPBACK
    return host


DEFAULT_PORT = 54321
