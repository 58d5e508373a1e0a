"""Has an event loop drive a client of paho-mqtt, which would have a thread otherwise."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client


def join(client: Client, loop: asyncio.AbstractEventLoop) -> None:
    """Has the loop drive a client. While that connects, in a thread, it calls from there."""
    here = threading.get_ident()

    def call(act: Callable[..., object], *arguments: Any) -> None:
        if threading.get_ident() == here:
            act(*arguments)
        else:
            loop.call_soon_threadsafe(act, *arguments)

    def read() -> None:
        client.loop_read()
        while isinstance(sock := client.socket(), ssl.SSLSocket) and sock.pending():
            client.loop_read()

    def on_open(_: Client, __: object, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each publish may wait 40 ms
        call(loop.add_reader, sock.fileno(), read)

    def on_close(_: Client, __: object, sock: Any) -> None:
        call(loop.remove_reader, sock.fileno())
        call(loop.remove_writer, sock.fileno())

    def on_write(_: Client, __: object, sock: Any) -> None:
        call(loop.add_writer, sock.fileno(), client.loop_write)

    def on_written(_: Client, __: object, sock: Any) -> None:
        call(loop.remove_writer, sock.fileno())

    client.on_socket_open, client.on_socket_close = on_open, on_close
    client.on_socket_register_write, client.on_socket_unregister_write = on_write, on_written
