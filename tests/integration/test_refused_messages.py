"""Messages that a server would end the connection over, sent to real ones: given up by name, and nothing else is."""

import asyncio

import nats
import pytest

from iofog_sdk import IoMessage, MessageError, connect
from local_agent import LocalAgent
from local_agent.nats_server import NatsServer

from .conftest import agent_config, environment
from .nodes import MosquittoNode
from .test_mqtt_link import needs_mosquitto

PACK = '[{{"n":"{}","v":1.0,"t":1795000000}}]'
NAMES = ("a\u0085b", "a\ufffe", "a\x7f", "a b.c/d+#", "Küche", "日本", "a" * 500)


def pack(name, number):
    return IoMessage(
        groupid="run",
        sequencenumber=number,
        infotype="application/senml+json",
        contentdata=PACK.format(name).encode(),
    )


async def sent(link, messages):
    """What becomes of each, sent at once: "" or the field that is named."""
    ends = await asyncio.gather(*(link.send(message) for message in messages), return_exceptions=True)
    assert all(isinstance(end, MessageError) or not isinstance(end, Exception) for end in ends), ends
    return [end.field if isinstance(end, MessageError) else "" for end in ends]


async def check(link):
    async with link:
        await asyncio.wait_for(link.wait_connected(), 60)
        assert await sent(link, [pack(name, number) for number, name in enumerate(NAMES, 1)]) == [""] * len(NAMES)
        strange = [
            IoMessage(infotype="x", tag="for:\u0085", contentdata=b"{}"),
            IoMessage(infotype="a\nb", contentdata=b"{}"),
            IoMessage(infotype="x", tag="\ufffe", contentdata=b"{}"),
            IoMessage(infotype="x", tag="x" * 32_000, contentdata=b"{}"),
            pack("good", 100),
        ]
        assert (await sent(link, strange))[-1] == ""
        assert link.connected
        return await sent(link, strange)


@needs_mosquitto
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_mqtt(tmp_path, version):
    async with MosquittoNode(tmp_path) as node:
        url = f"mqtt://127.0.0.1:{node.relay.port}?version={version}&topic=a/%7Bquantity%7D"
        assert (await check(connect({"IOFOG_LINK": url})))[2:] == ["property", "frame", ""]


async def test_nats(tmp_path):
    async with NatsServer(tmp_path / "nats") as server:
        url = f"{server.url}?subject=a.%7Bquantity%7D"
        assert await check(connect({"IOFOG_LINK": url})) == ["tag", "infotype", "tag", "", ""]


async def test_agent():
    async with LocalAgent(agent_config()) as agent:
        assert await check(connect(environment(agent))) == ["tag", "", "tag", "", ""]


async def test_every_field_travels_over_nats(tmp_path):
    message = IoMessage(
        groupid="run",
        sequencenumber=3,
        sequencetotal=9,
        priority=5,
        infotype="t",
        infoformat="f",
        authid="who",
        authgroup="group",
        chainposition=2**60,
        hash="h",
        previoushash="p",
        nonce="n",
        difficultytarget=7,
        contextdata=b"\x00\xff",
        contentdata=b"c",
        publisher="uuid",
    )
    async with NatsServer(tmp_path / "nats") as server:
        receiver = connect({"IOFOG_LINK": f"{server.url}?receive=iofog.readings.>", "IOFOG_MICROSERVICE": "viewer"})
        async with receiver, connect({"IOFOG_LINK": server.url, "IOFOG_MICROSERVICE": "gps"}) as sender:
            await asyncio.gather(receiver.wait_connected(), sender.wait_connected())
            await sender.send(message)
            received = await asyncio.wait_for(anext(receiver.messages()), 60)
    for name in IoMessage.__struct_fields__:
        if name not in ("id", "timestamp"):
            assert getattr(received, name) == getattr(message, name), name


async def test_commands_are_not_pushed_out_by_readings_and_keep_their_name(tmp_path):
    async with NatsServer(tmp_path / "nats") as server:
        url = f"{server.url}?max_bytes=1048576"
        link = connect({"IOFOG_LINK": url, "IOFOG_MICROSERVICE": "gps"})
        async with link:
            await link.wait_connected()
        operator = await nats.connect(server.url)
        for number in range(3):
            await operator.jetstream().publish("iofog.commands.default.gps", b'{"command":"%d"}' % number)
        other = connect({"IOFOG_LINK": url, "IOFOG_MICROSERVICE": "other"})
        async with other:
            await other.wait_connected()
            for number in range(1, 41):
                await other.send(
                    IoMessage(sequencenumber=number, groupid="run", infotype="x", contentdata=bytes(100_000))
                )
        info = await operator.jetstream().stream_info("IOFOG")
        assert info.state.first_seq > 1, "the oldest readings were discarded"
        ids = []
        for _ in range(2):
            link = connect({"IOFOG_LINK": url, "IOFOG_MICROSERVICE": "gps"})
            async with link:
                messages = link.messages()
                first = await asyncio.wait_for(anext(messages), 60)
                assert first.contentdata == b'{"command":"0"}'
                ids.append(first.id)  # not acknowledged: it comes again
        assert ids[0] == ids[1]
        await operator.close()
