"""A system without descriptors for connections."""

import asyncio
import errno


def lack_descriptors(monkeypatch, times=20):
    """The next attempts of this loop to take a connection fail, and are made again at once."""
    monkeypatch.setattr("device_bridge.telemetry.listener._RETRY_S", 0.001)
    loop, left = asyncio.get_running_loop(), iter(range(times))
    accept = loop.sock_accept

    async def accept_if_there_are_any(listening):
        if next(left, None) is not None:
            raise OSError(errno.EMFILE, "Too many open files")
        return await accept(listening)

    monkeypatch.setattr(loop, "sock_accept", accept_if_there_are_any)
