"""Drives a paho-mqtt client from an event loop instead of a thread."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client


def attach(
    client: Client,
    loop: asyncio.AbstractEventLoop,
    on_read: Callable[[], None],
    on_written: Callable[[], None],
    on_error: Callable[[Exception], None],
) -> Callable[[], None]:
    """Lets the loop drive a client, which may still be connecting in another thread.

    Returns a function that writes the queued packets at once; it must not be called from the client's callbacks.

    Parameters:
        client: its socket callbacks are set here, and its `on_publish` is called for acknowledgements only: for QoS 0
            the library would create two objects per message, a quarter of the cost of sending it.
        loop: event loop that drives the client.
        on_read: called when all received packets have been handled.
        on_written: called when the operating system has accepted all queued packets.
        on_error: called with an unexpected error of the library or of what it calls; nothing is read or written
            after it, as a packet that was dealt with in part would be dealt with again.
    """
    here = threading.get_ident()
    on_publish = client.on_publish

    def call(act: Callable[..., object], *arguments: Any) -> None:
        if threading.get_ident() == here:
            act(*arguments)
        else:
            loop.call_soon_threadsafe(act, *arguments)

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except Exception as error:
                _forget(client, loop)
                on_error(error)

        return run

    @guarded
    def read() -> None:
        client.loop_read()
        while isinstance(sock := client.socket(), ssl.SSLSocket) and sock.pending():
            client.loop_read()
        on_read()

    @guarded
    def write() -> None:
        sock: Any = client.socket()
        if sock is None:
            return
        client.on_publish = None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # the library writes each packet separately
        client.loop_write()
        client.on_publish = on_publish
        if client.socket() is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            if client.want_write():
                loop.add_writer(sock.fileno(), write)
            else:
                on_written()

    def on_open(_: Client, __: object, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each publication may wait 40 ms
        call(loop.add_reader, sock.fileno(), read)

    def on_close(_: Client, __: object, sock: Any) -> None:
        call(loop.remove_reader, sock.fileno())
        call(loop.remove_writer, sock.fileno())

    def on_write(_: Client, __: object, ___: Any) -> None:
        call(loop.call_soon, write)  # instead of add_writer: the send buffer mostly has room

    def on_stop_writing(_: Client, __: object, sock: Any) -> None:
        call(loop.remove_writer, sock.fileno())

    client.on_socket_open, client.on_socket_close = on_open, on_close
    client.on_socket_register_write, client.on_socket_unregister_write = on_write, on_stop_writing
    return write


def detach(client: Client, loop: asyncio.AbstractEventLoop) -> None:
    """Closes a client's socket without a DISCONNECT packet, and stops its callbacks."""
    client.on_socket_open = client.on_socket_close = None
    client.on_socket_register_write = client.on_socket_unregister_write = None
    _forget(client, loop)
    if (sock := client.socket()) is not None:
        sock.close()


def _forget(client: Client, loop: asyncio.AbstractEventLoop) -> None:
    """Has the loop not read or write the client's socket any more."""
    sock: Any = client.socket()
    if sock is not None:
        loop.remove_reader(sock.fileno())
        loop.remove_writer(sock.fileno())
