"""The local agent's sockets against the observed behaviour of the Java agent, with wsproto as the client."""

import asyncio
import contextlib

import pytest
from wsproto.frame_protocol import FrameProtocol

from iofog_sdk import IoMessage
from iofog_sdk.http import frames
from iofog_sdk.http.websocket import Opcode, encode_frame
from local_agent import AgentConfig, LocalAgent, Microservice, Route

from .conftest import agent_config, until


class Client:
    """A raw WebSocket client: writes what it is told, reads frames with wsproto."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.frames = FrameProtocol(client=True, extensions=[])
        self.received, self.parts = [], []

    @classmethod
    async def open(cls, agent, path, *, headers=("Upgrade: websocket", "Sec-WebSocket-Version: 13")):
        reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
        lines = [f"GET {path} HTTP/1.1", "Host: iofog", "Connection: Upgrade", *headers]
        lines.append("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        return cls(reader, writer)

    async def handshake(self) -> str:
        return (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 60)).decode()

    def send(self, opcode, payload):
        self.writer.write(encode_frame(opcode, payload))

    def send_message(self, **fields):
        self.send(Opcode.BINARY, frames.msg_frame(IoMessage(**fields).to_bytes()))

    async def next(self):
        while not self.received:
            data = await asyncio.wait_for(self.reader.read(65536), 60)
            if not data:
                raise EOFError
            self.frames.receive_bytes(data)
            for frame in self.frames.received_frames():
                self.parts.append(frame.payload if isinstance(frame.payload, tuple) else bytes(frame.payload))
                if frame.frame_finished:
                    whole = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
                    self.received.append((int(frame.opcode), whole))
                    self.parts.clear()
        return self.received.pop(0)

    async def next_message(self) -> IoMessage:
        opcode, payload = await self.next()
        assert (opcode, payload[0]) == (Opcode.BINARY, frames.MSG)
        return IoMessage.from_bytes(frames.msg_body(payload))

    async def assert_alive(self, *, silent=False):
        """The agent has handled everything sent before; with `silent`, it has answered none of it."""
        self.send(Opcode.PING, frames.PING)
        received = [await self.next()]
        while received[-1][0] != Opcode.PONG:
            received.append(await self.next())
        assert received[-1] == (Opcode.PONG, frames.PONG)
        assert not silent or len(received) == 1

    async def close(self):
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


@pytest.fixture
async def connect(agent):
    clients = []

    async def begin(name="device", kind="message", on=agent, **options):
        client = await Client.open(on, f"/v2/{kind}/socket/id/{on.id_of(name)}", **options)
        clients.append(client)
        assert "101" in await client.handshake()
        await client.assert_alive()
        return client

    yield begin
    for client in clients:
        await client.close()


async def assert_unanswered(client):
    """The connection stays open and silent. A second request on it is not answered either."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.reader.read(1), 0.05)
    await client.close()


async def test_handshake_offers_nothing_beside_the_upgrade(agent):
    client = await Client.open(
        agent,
        f"/foo/abc/xyz/id/{agent.id_of('device')}".replace("/foo/abc/xyz", "/v2/message/socket"),
        headers=("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: a, b"),
    )
    reply = (await client.handshake()).lower()
    assert "s3pplmbitxaq9kygzzhzrbk+xoo=" in reply
    assert "protocol:" not in reply
    assert "extensions" not in reply
    await client.close()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v2/message/socket/id", ("Upgrade: websocket", "Sec-WebSocket-Version: 13")),
        ("/v2/control/socket/id/", ("Upgrade: websocket", "Sec-WebSocket-Version: 13")),
        ("/v2/message/socket/id/x", ()),
    ],
    ids=["no id", "empty id", "no upgrade"],
)
async def test_handshakes_that_are_never_answered(agent, path, headers):
    await assert_unanswered(await Client.open(agent, path, headers=headers))


async def test_version_99_is_refused_but_counts_as_connected(agent):
    viewer = agent.id_of("viewer")
    client = await Client.open(
        agent, f"/v2/message/socket/id/{viewer}", headers=("Upgrade: websocket", "Sec-WebSocket-Version: 99")
    )
    reply = await client.handshake()
    assert reply.startswith("HTTP/1.1 426")
    assert "sec-websocket-version: 13" in reply.lower()
    agent.bus.publish(IoMessage(publisher=agent.id_of("device"), infotype="t", infoformat="f"))
    assert agent.bus.next(viewer) == []
    await client.close()


@pytest.mark.parametrize("path", ["/v2/message/socket/any/{id}/more/tokens", "/v2/message/socket/id/{id}?x=1"])
async def test_the_fifth_token_is_the_id(agent, path):
    client = await Client.open(agent, path.format(id=agent.id_of("viewer")))
    await client.handshake()
    await client.assert_alive()
    agent.bus.publish(IoMessage(publisher=agent.id_of("device"), infotype="t", infoformat="f"))
    assert (await client.next_message()).infotype == "t"
    await client.close()


async def test_the_control_socket_keeps_the_query_in_the_id(agent):
    client = await Client.open(agent, f"/v2/control/socket/id/{agent.id_of('device')}?x=1")
    await client.handshake()
    await client.assert_alive()
    agent.set_config("device", {"a": 1})
    await client.assert_alive(silent=True)
    await client.close()


async def test_a_message_gets_a_receipt_and_reaches_the_other_end(agent, connect):
    viewer, device = await connect("viewer"), await connect("device")
    device.send_message(publisher=agent.id_of("device"), infotype="t", infoformat="f", contentdata=b"hi", id="mine")
    _, payload = await device.next()
    receipt = frames.read_receipt(payload)
    message = await viewer.next_message()
    assert (message.id, message.timestamp, message.contentdata) == (receipt.id, receipt.timestamp, b"hi")
    assert len(payload) == 43


async def test_no_route_still_gives_a_receipt(agent, connect):
    device = await connect("viewer")
    device.send_message(publisher="nobody", infotype="t", infoformat="f")
    assert (await device.next())[1][0] == frames.RECEIPT


@pytest.mark.parametrize("payload", [b"\x09", b"", b"\x09\x09", b"random"])
async def test_only_the_right_ping_gets_a_pong(connect, payload):
    client = await connect()
    client.send(Opcode.PING, payload)
    received = []
    client.send(Opcode.BINARY, frames.msg_frame(IoMessage(publisher="p").to_bytes()))
    while not received or received[-1][0] != Opcode.BINARY:
        received.append(await client.next())
    assert received[:-1] == ([(Opcode.PONG, frames.PONG)] if payload == b"\x09" else [])


@pytest.mark.parametrize(
    "wire",
    [
        encode_frame(Opcode.TEXT, b"text"),
        encode_frame(Opcode.BINARY, b""),
        encode_frame(Opcode.BINARY, b"\x0d"),
        encode_frame(Opcode.BINARY, b"\x0d\x00\x00\x01\x00abc"),
        encode_frame(Opcode.BINARY, frames.msg_frame(b"\x00\x05" + bytes(31))),
        FrameProtocol(client=True, extensions=[]).send_data(frames.msg_frame(bytes(33)), fin=False),
    ],
    ids=["text", "empty", "opcode alone", "length beyond data", "version 5", "first fragment"],
)
async def test_what_the_agent_ignores_without_a_word(connect, wire):
    client = await connect()
    client.writer.write(wire)
    await client.assert_alive(silent=True)


async def test_no_part_of_a_fragmented_message_is_handed_on(agent, connect):
    client, fragments = await connect(), FrameProtocol(client=True, extensions=[])
    body = frames.msg_frame(IoMessage(publisher="p").to_bytes())
    client.writer.write(fragments.send_data(body, fin=False))
    client.send(Opcode.PING, frames.PING)  # between two fragments, as RFC 6455 section 5.4 allows
    client.writer.write(fragments.send_data(body, fin=True))
    assert await client.next() == (Opcode.PONG, frames.PONG)
    await client.assert_alive(silent=True)
    assert agent.counters["published"] == 0


@pytest.mark.parametrize("size", [1, 125, 126, 65535, 65536])
async def test_frames_of_all_header_lengths_pass_however_they_are_cut(agent, connect, size):
    device = await connect("device")
    content = bytes(size)
    for end in (1, 2, 5, 9, 13, 60):
        wire = encode_frame(
            Opcode.BINARY,
            frames.msg_frame(IoMessage(publisher="p", contentdata=content).to_bytes()),
        )
        device.writer.write(wire[:end])
        await asyncio.sleep(0.001)
        device.writer.write(wire[end:])
        assert (await device.next())[1][0] == frames.RECEIPT


async def test_an_unmasked_frame_is_answered_by_a_close_with_text(connect):
    client = await connect()
    client.writer.write(b"\x89\x01" + frames.PING)
    opcode, (code, reason) = await client.next()
    assert (opcode, int(code)) == (Opcode.CLOSE, 1002)
    assert reason
    with pytest.raises(EOFError):
        await client.next()


async def test_a_close_frame_is_not_echoed(connect):
    client = await connect()
    client.send(Opcode.CLOSE, b"\x03\xe8")
    with pytest.raises(EOFError):
        await client.next()


async def test_the_newest_connection_of_an_id_wins_and_the_old_one_is_not_heard(agent, connect):
    old, new = await connect("viewer"), await connect("viewer")
    old.send(Opcode.PING, frames.PING)
    old.send(Opcode.CLOSE, b"")
    agent.bus.publish(IoMessage(publisher=agent.id_of("device"), infotype="t", infoformat="f"))
    assert (await new.next_message()).infotype == "t"
    with pytest.raises(EOFError):
        await old.next()
    await new.assert_alive()


async def test_the_backlog_comes_at_once_and_in_order(agent, connect):
    for number in range(1, 6):
        agent.bus.publish(
            IoMessage(publisher=agent.id_of("device"), infotype="t", infoformat="f", sequencenumber=number)
        )
    reader = await Client.open(agent, f"/v2/message/socket/id/{agent.id_of('viewer')}")
    await reader.handshake()
    assert [(await reader.next_message()).sequencenumber for _ in range(5)] == [1, 2, 3, 4, 5]
    assert agent.bus.next(agent.id_of("viewer")) == []
    await reader.close()


async def test_seventy_kilobytes_pass(agent, connect):
    viewer, device = await connect("viewer"), await connect("device")
    content = bytes(range(256)) * 280
    device.send_message(publisher=agent.id_of("device"), infotype="t", infoformat="f", contentdata=content)
    assert (await viewer.next_message()).contentdata == content


async def test_a_receiver_that_does_not_read_costs_a_bounded_queue(agent, connect):
    viewer = await connect("viewer")
    content = bytes(1024 * 1024)
    for number in range(1, 201):
        agent.bus.publish(
            IoMessage(
                publisher=agent.id_of("device"),
                infotype="t",
                infoformat="f",
                sequencenumber=number,
                contentdata=content,
            )
        )
        await asyncio.sleep(0)
    dropped = agent.counters["dropped"]
    assert 100 < dropped < 140  # 64 MiB wait in the queue, a few more in the kernel
    numbers = [(await viewer.next_message()).sequencenumber for _ in range(200 - dropped)]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 200
    await viewer.assert_alive(silent=True)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
async def timed():
    clock = Clock()
    async with LocalAgent(agent_config(), now=clock) as agent:
        agent.clock = clock
        yield agent


def ticks(agent, seconds):
    for _ in range(seconds // 10):
        agent.clock.now += 10
        agent.tick(agent.clock.now)


async def test_only_the_newest_unacknowledged_message_is_sent_again(timed, connect):
    viewer = await connect("viewer", on=timed)
    for number in (1, 2):
        timed.bus.publish(
            IoMessage(publisher=timed.id_of("device"), infotype="t", infoformat="f", sequencenumber=number)
        )
    assert [(await viewer.next_message()).sequencenumber for _ in range(2)] == [1, 2]
    ticks(timed, 20)
    await viewer.assert_alive(silent=True)
    ticks(timed, 10)
    assert (await viewer.next_message()).sequencenumber == 2
    viewer.send(Opcode.BINARY, frames.ACK + b"whatever")
    await viewer.assert_alive()
    ticks(timed, 60)
    await viewer.assert_alive(silent=True)


async def test_after_ten_sends_the_socket_is_forgotten_but_not_closed(timed, connect):
    viewer = await connect("viewer", on=timed)
    timed.bus.publish(IoMessage(publisher=timed.id_of("device"), infotype="t", infoformat="f"))
    ticks(timed, 30 * 9)
    for _ in range(10):
        await viewer.next_message()
    ticks(timed, 30)
    viewer.send(Opcode.PING, frames.PING)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(viewer.reader.read(1), 0.05)
    timed.bus.publish(IoMessage(publisher=timed.id_of("device"), infotype="later", infoformat="f"))
    assert [m.infotype for m in timed.bus.next(timed.id_of("viewer"))] == ["later"]


async def test_a_changed_config_is_signalled_until_acknowledged(timed, connect):
    device, viewer = await connect("device", "control", on=timed), await connect("viewer", "control", on=timed)
    timed.set_config("device", {"a": 1})
    assert await device.next() == (Opcode.BINARY, b"\x0c")
    device.send(Opcode.BINARY, b"\x0b\x00")  # an ACK is exactly one byte
    await device.assert_alive()
    ticks(timed, 30)
    assert await device.next() == (Opcode.BINARY, b"\x0c")
    device.send(Opcode.BINARY, b"\x0b")
    await device.assert_alive()
    ticks(timed, 60)
    timed.set_config("device", {"a": 1})
    await device.assert_alive(silent=True)
    await viewer.assert_alive(silent=True)


async def test_changed_edge_resources_are_signalled_to_all_and_repeated_as_a_changed_config(timed, connect):
    sockets = [await connect(name, "control", on=timed) for name in ("device", "viewer")]
    timed.apply(AgentConfig(timed.config.listen, timed.config.microservices, timed.config.routes, [{"name": "gps"}]))
    for socket in sockets:
        assert await socket.next() == (Opcode.BINARY, b"\x0f")
    ticks(timed, 30)
    for socket in sockets:
        assert await socket.next() == (Opcode.BINARY, b"\x0c")


async def test_messages_to_a_dead_connection_are_lost_as_with_the_java_agent(agent, connect):
    viewer = await connect("viewer")
    viewer.writer.transport.abort()
    await until(lambda: len(agent.connections) == 0)
    agent.bus.publish(IoMessage(publisher=agent.id_of("device"), infotype="lost", infoformat="f"))
    assert agent.bus.next(agent.id_of("viewer")) == []
    again = await connect("viewer")
    await again.assert_alive(silent=True)


async def test_routes_change_while_it_runs(agent, connect):
    device = await connect("device")
    agent.set_routes([Route(source="viewer", to="device")])
    agent.bus.publish(IoMessage(publisher=agent.id_of("device"), infotype="t", infoformat="f"))
    agent.bus.publish(IoMessage(publisher=agent.id_of("viewer"), infotype="other way", infoformat="f"))
    assert (await device.next_message()).infotype == "other way"
    assert agent.bus.next(agent.id_of("viewer")) == []


async def test_a_flood_for_an_absent_receiver_is_bounded():
    config = AgentConfig(microservices={"a": Microservice(), "b": Microservice()}, routes=[Route(source="a", to="b")])
    agent = LocalAgent(config)
    content = bytes(1024 * 1024)
    for _ in range(100):
        agent.bus.publish(IoMessage(publisher=agent.id_of("a"), infotype="t", infoformat="f", contentdata=content))
    assert 30 < agent.counters["dropped"] < 50
    assert len(agent.bus.next(agent.id_of("b"))) == 100 - agent.counters["dropped"]
