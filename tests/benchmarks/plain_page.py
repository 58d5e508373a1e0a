"""The usual way, for comparison: aiohttp takes each message, reads it as JSON, and writes it to each open page."""

from __future__ import annotations

import asyncio
import json
import sys

from aiohttp import ClientSession, web

_MSG, _ACK = 0x0D, b"\x0b"
_PREFIX, _HEADER = 5, 33


async def _serve(agent: str, identity: str, port: int) -> None:
    latest: dict[str, dict[str, object]] = {}
    pages: list[web.StreamResponse] = []

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        pages.append(response)
        await asyncio.Event().wait()
        return response

    app = web.Application()
    app.add_routes([web.get("/api/stream", stream)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    url = f"ws://127.0.0.1:{agent}/v2/message/socket/id/{identity}"
    async with ClientSession() as session, session.ws_connect(url) as socket:
        await socket.ping(b"\x09")
        async for frame in socket:
            if frame.data[0] != _MSG:
                continue
            size = int.from_bytes(frame.data[_PREFIX + _HEADER - 4 : _PREFIX + _HEADER], "big")
            pack = json.loads(frame.data[-size:])
            for record in pack:
                latest[pack[0]["bn"] + record["n"]] = record
            for page in pages:
                await page.write(b"data: " + json.dumps(pack).encode() + b"\n\n")
            await socket.send_bytes(_ACK)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
