"""How a socket that reconnects ends."""

import asyncio

from iofog_sdk import ConnectionLost, LocalApiClient

from .conftest import Steps, until


async def test_a_socket_ends_although_a_cancellation_was_swallowed(unused_tcp_port):
    """As asyncio.wait_for of Python 3.11 does when what it waits for ends at the same moment."""
    client = LocalApiClient("x", "127.0.0.1", unused_tcp_port)
    socket = client.control_socket(lambda: None, backoff=Steps())
    attempts = []

    async def swallowing_once():
        attempts.append(1)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if len(attempts) > 1:
                raise
        return ConnectionLost("just now")

    socket._one_connection = swallowing_once
    socket.start()
    await until(lambda: attempts)
    running = socket._task
    closing = asyncio.ensure_future(socket.close())
    try:
        await until(closing.done, 5)
        assert running.cancelled()
    finally:
        running.cancel()
