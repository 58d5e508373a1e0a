"""What is said of a node that answers a handshake with something else."""

import asyncio

import pytest

from iofog_sdk import NodeUnreachable
from iofog_sdk.http.websocket_connection import SocketConnection


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 10\r\n\r\n for|\n\x07\x07bid", "403: for bid; ask$"),
        (b"HTTP/1.1 500 Oh\r\n|transfer-encoding: chunked\r\n\r\n3\r\nno |\r\n2\r\nwa\r\n0\r\n\r\n", "500: no wa$"),
        (b"HTTP/1.1 502 Oh\r\n\r\nuntil the end|-", "502: until the end$"),
        (b"HTTP/1.1 503 Oh\r\ncontent-length: 99\r\n\r\nstill|", "503: still$"),
        (b"HTTP/1.1 404 Oh\r\ncontent-length: 99999999\r\n\r\n" + b"x" * 9999, "404: x{200}…$"),
        (b"HTTP/1.1 401 Oh\r\ncontent-length: 0\r\n\r\n", "handshake: 401$"),
        (b"HTTP/1.1 401 Oh\r\ntransfer-encoding: chunked\r\n\r\n|z", "handshake: 401$"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n|HTTP/1.1 401 Oh\r\ncontent-length: 2\r\n\r\nno", "401: no$"),
        (b"|nonsense\r\n\r\n", "data that is not HTTP"),
    ],
)
async def test_the_text_of_a_refusal_is_shown_however_it_comes(answer, words):
    """Its parts come one after another; a dash at the end is the connection's end, else it stays open."""
    ended = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        *parts, last = answer.removesuffix(b"-").split(b"|")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        writer.write(last)
        if not answer.endswith(b"-"):
            await ended.wait()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = SocketConnection("127.0.0.1", port, "/x", lambda _: None, remedies={403: "ask"})
        with pytest.raises(NodeUnreachable, match=f"^ws://127.0.0.1:{port}/x: the node .*{words}"):
            await connection.open(0.5)
        connection.close()
        ended.set()
