"""The official Node.js SDK as an independent client of the local agent."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from iofog_sdk import IoMessage, connect
from local_agent import Route

from .conftest import environment, until

FOLDER = Path(__file__).parents[1] / "nodejs"
pytestmark = pytest.mark.skipif(
    not shutil.which("node") or not (FOLDER / "node_modules").is_dir(),
    reason="apt-get install npm && npm ci --prefix tests/nodejs (the official Node.js SDK)",
)


async def test_config_signals_and_messages_both_ways(agent):
    device, viewer = agent.id_of("device"), agent.id_of("viewer")
    agent.set_routes([Route(source="device", to="viewer"), Route(source="viewer", to="device")])
    agent.set_config("device", {"rate": 1})
    process = await asyncio.create_subprocess_exec(
        *("node", str(FOLDER / "client.js"), str(agent.port), device),
        stdout=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name not in ("SSL", "SELFNAME")},
    )
    said = []

    async def listen():
        async for line in process.stdout:
            said.append(json.loads(line))

    def has(**members):
        return next((line for line in said if members.items() <= line.items()), None)

    listening = asyncio.ensure_future(listen())
    try:
        async with connect(environment(agent, "viewer")) as link:
            await link.wait_connected()
            inbox = aiter(link.messages())
            received = await asyncio.wait_for(anext(inbox), 60)
            assert received.publisher == device
            assert (received.tag, received.groupid, received.sequencenumber) == ("from node", "g", 1)
            assert (received.priority, received.infotype) == (5, "greeting")
            assert (received.contextdata, received.contentdata) == (b"context", b"hello from node")
            await until(lambda: has(receipt=received.id, timestamp=received.timestamp))
            await until(lambda: {"config": {"rate": 1}} in said)

            answer = IoMessage(
                tag="t", infotype="answer", infoformat="utf-8", sequencenumber=7, contentdata="grüß dich".encode()
            )
            receipt = await link.send(answer)
            await until(lambda: has(id=receipt.id))
            assert has(id=receipt.id) == {
                "id": receipt.id,
                "publisher": viewer,
                "tag": "t",
                "sequencenumber": 7,
                "infotype": "answer",
                "content": "grüß dich",
            }
            await until(lambda: agent.message_sockets.sessions[device]._pending is None)

        await until(lambda: device in agent.control_sockets.sessions)
        agent.set_config("device", {"rate": 2})
        await until(lambda: {"config": {"rate": 2}} in said)
        assert {"signal": "config"} in said
        await until(lambda: agent.control_sockets.sessions[device]._pending is None)
        assert not [line for line in said if "failed" in line]
    finally:
        process.kill()
        await process.wait()
        await listening
