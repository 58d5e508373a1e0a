"""Host names of a node inside its containers, and their resolution."""

from __future__ import annotations

import asyncio

AGENT_HOST = "iofog"
"""In the hosts file of every container that a Java agent starts."""
EDGELET_HOST = "edgelet.default.svc.bridge.local"
"""Resolved by Edgelet's DNS; its certificate is issued for this name."""
DEFAULT_PORT = 54321
_LOOPBACK = "127.0.0.1"
_RESOLVE_S = 3.0
"""Both names are resolved on the machine itself; a resolver that asks the network may take much longer to fail."""


async def resolve_host(host: str) -> str:
    """The host to connect to; call it for every connection, as the node's resolver may start after the container.

    A container on the host's network has neither name, and reaches its node on the loopback address.
    """
    if host in (AGENT_HOST, EDGELET_HOST):
        try:
            async with asyncio.timeout(_RESOLVE_S):
                await asyncio.get_running_loop().getaddrinfo(host, None)
        except OSError:  # TimeoutError is one
            return _LOOPBACK
    return host


def describe_connect_error(error: OSError) -> str:
    """Why no connection could be made."""
    if reason := getattr(error, "verify_message", ""):  # of ssl.SSLCertVerificationError, without importing ssl
        return f"its certificate is not trusted ({reason}); is ca.crt that of this node?"
    return error.strerror or str(error)
