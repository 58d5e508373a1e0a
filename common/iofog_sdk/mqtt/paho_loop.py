"""Has an event loop drive a client of paho-mqtt, which would have a thread otherwise."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client


def join(
    client: Client, loop: asyncio.AbstractEventLoop, on_read: Callable[[], None], on_written: Callable[[], None]
) -> Callable[[], None]:
    """Has the loop drive a client. While that connects, in a thread, it calls from there.

    Returns what sends at once instead of after what is being done; not to be called from the client's callbacks.

    Parameters:
        client: whose callbacks are set. Its `on_publish` tells acknowledgements only: for what needs none it would be
            given two new objects a message, a quarter of the whole cost.
        loop: that drives it.
        on_read: called when all that has come has been told.
        on_written: called when the operating system has taken all that was to be sent.
    """
    here = threading.get_ident()
    on_publish = client.on_publish

    def call(act: Callable[..., object], *arguments: Any) -> None:
        if threading.get_ident() == here:
            act(*arguments)
        else:
            loop.call_soon_threadsafe(act, *arguments)

    def read() -> None:
        client.loop_read()
        while isinstance(sock := client.socket(), ssl.SSLSocket) and sock.pending():
            client.loop_read()
        on_read()

    def write() -> None:
        sock: Any = client.socket()
        if sock is None:
            return
        client.on_publish = None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # it writes each packet by itself
        client.loop_write()
        client.on_publish = on_publish
        if client.socket() is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            if client.want_write():
                loop.add_writer(sock.fileno(), write)
            else:
                on_written()

    def on_open(_: Client, __: object, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each publish may wait 40 ms
        call(loop.add_reader, sock.fileno(), read)

    def on_close(_: Client, __: object, sock: Any) -> None:
        call(loop.remove_reader, sock.fileno())
        call(loop.remove_writer, sock.fileno())

    def on_write(_: Client, __: object, ___: Any) -> None:
        call(loop.call_soon, write)  # for most often there is room

    def on_stop_writing(_: Client, __: object, sock: Any) -> None:
        call(loop.remove_writer, sock.fileno())

    client.on_socket_open, client.on_socket_close = on_open, on_close
    client.on_socket_register_write, client.on_socket_unregister_write = on_write, on_stop_writing
    return write


def drop(client: Client, loop: asyncio.AbstractEventLoop) -> None:
    """Ends a client's connection without a word to the broker, and without one from the client when it is gone."""
    client.on_socket_open = client.on_socket_close = None
    client.on_socket_register_write = client.on_socket_unregister_write = None
    sock: Any = client.socket()
    if sock is not None:
        loop.remove_reader(sock.fileno())
        loop.remove_writer(sock.fileno())
        sock.close()
