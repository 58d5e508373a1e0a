"""TCP ports for servers whose port is a setting: below those that the kernel gives to clients."""

from __future__ import annotations

import random
import socket

_ports = iter(random.sample(range(10_000, 32_000), 22_000))


def free_port() -> int:
    """A port that nobody listens on, another one each time."""
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")
