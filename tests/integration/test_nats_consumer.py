"""NATS when the server, a stream or a consumer is not what a link has left: said, and repaired where it can be."""

import asyncio
import contextlib

import nats
import pytest
from nats.js.api import DiscardPolicy, StreamConfig

from local_agent.nats_server import NatsServer
from pytest_simulated_devices import Relay

from .conftest import until
from .test_nats_link import linked, message

COMMANDS = "iofog.commands.default.gps"


@pytest.fixture
async def server(tmp_path):
    async with NatsServer(tmp_path / "nats") as running:
        yield running


@contextlib.asynccontextmanager
async def operator(server):
    """JetStream as somebody else sees it."""
    client = await nats.connect(server.url)
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def told(link):
    return await asyncio.wait_for(anext(link.messages()), 60)


async def test_a_connection_that_is_dead_on_one_side_does_not_keep_the_next_one_out(server):
    async with operator(server) as stream, Relay(server.port) as relay:
        async with linked(f"nats://127.0.0.1:{relay.port}?ping_interval_s=1&receipt_timeout_s=1") as link:
            await link.wait_connected()
            relay.half_open = True
            relay.drop_clients()
            await until(lambda: not link.connected)
            await asyncio.wait_for(link.wait_connected(), 60)
            await link.send(message(1))
            assert (await stream.stream_info("IOFOG")).state.messages == 1


async def test_another_subject_to_receive_takes_effect(server):
    async with operator(server) as stream:
        for subject in ("iofog.readings.a.>", "iofog.readings.b.>"):
            async with linked(f"{server.url}?receive={subject}", IOFOG_MICROSERVICE="v") as link:
                await link.wait_connected()
                await stream.publish(subject.replace(">", "gps"), b"[]")
                assert (await told(link)).contentdata == b"[]"


async def test_other_commands_take_effect_and_none_comes_twice(server):
    async with operator(server) as stream:
        async with linked(server.url) as link:
            await link.wait_connected()
            await stream.publish(COMMANDS, b"1")
            taken = link.messages()
            assert (await asyncio.wait_for(anext(taken), 60)).contentdata == b"1"
            info = stream.consumer_info
            waiting = asyncio.ensure_future(anext(taken))
            while (await info("IOFOG-COMMANDS", "default-gps")).num_ack_pending:
                await asyncio.sleep(0.01)
            waiting.cancel()
        async with linked(f"{server.url}?commands=iofog.commands.default.other") as link:
            await link.wait_connected()
            await stream.publish("iofog.commands.default.other", b"2")
            assert (await told(link)).contentdata == b"2"


async def test_what_a_dead_connection_was_given_comes_first_on_the_next(server):
    async with operator(server) as stream, Relay(server.port) as relay:
        url = f"nats://127.0.0.1:{relay.port}?ping_interval_s=1"
        async with linked(url) as link:
            await link.wait_connected()
            received = link.messages()
            relay.swallow = True
            for number in (b"1", b"2"):
                await stream.publish(COMMANDS, number)
            await until(lambda: relay.swallowed)
            relay.heal()
            relay.drop()
            await until(lambda: not link.connected)
            await asyncio.wait_for(link.wait_connected(), 60)
            await stream.publish(COMMANDS, b"3")
            assert [(await asyncio.wait_for(anext(received), 60)).contentdata for _ in range(3)] == [b"1", b"2", b"3"]


async def test_a_consumer_that_is_busy_stays_connected(server, caplog):
    """After each batch of 256 a server says that it is complete."""
    caplog.set_level("INFO")
    async with operator(server) as stream, linked(server.url) as link:
        await link.wait_connected()
        received = link.messages()
        for number in range(1000):
            await stream.publish(COMMANDS, b"%d" % number)
        for number in range(1000):
            assert (await asyncio.wait_for(anext(received), 60)).contentdata == b"%d" % number
    assert "is down" not in caplog.text


async def test_what_cannot_be_dealt_with_comes_again(server, monkeypatch, caplog):
    """An error that nobody thought of, while a message is taken, ends the connection and not the consumer."""
    async with operator(server) as stream, linked(server.url) as link:
        await link.wait_connected()
        put = link._inbox.put

        def fail_once(*arguments, **options):
            monkeypatch.setattr(link._inbox, "put", put)
            raise KeyError("nobody thought of it")

        monkeypatch.setattr(link._inbox, "put", fail_once)
        await asyncio.gather(*(stream.publish(COMMANDS, b"%d" % number) for number in range(100)))
        received = link.messages()
        for number in range(100):
            assert (await asyncio.wait_for(anext(received), 60)).contentdata == b"%d" % number
    assert "unexpected error; reconnecting" in caplog.text


async def test_a_consumer_that_is_deleted_is_made_anew(server, caplog):
    async with operator(server) as stream, linked(server.url) as link:
        await link.wait_connected()
        while not (
            await stream.consumer_info("IOFOG-COMMANDS", "default-gps")
        ).num_waiting:  # its request is on the way
            await asyncio.sleep(0)
        await stream.delete_consumer("IOFOG-COMMANDS", "default-gps")
        await until(lambda: "consumer default-gps: Consumer Deleted" in caplog.text)
        await asyncio.wait_for(link.wait_connected(), 60)
        await stream.publish(COMMANDS, b"1")
        assert (await told(link)).contentdata == b"1"


async def test_a_full_stream_that_keeps_its_oldest_says_so_and_nothing_is_lost(server, caplog):
    async with operator(server) as stream:
        subjects = ["iofog.readings.>", "iofog.commands.>"]
        config = StreamConfig(name="IOFOG", subjects=subjects, max_msgs=2, discard=DiscardPolicy.NEW)
        await stream.add_stream(config)
        async with linked(server.url) as link:
            await link.wait_connected()
            await asyncio.gather(link.send(message(1)), link.send(message(2)))
            failing = asyncio.ensure_future(link.send(message(3)))
            await asyncio.wait((failing,), timeout=60)
            assert "maximum messages exceeded; free space in it" in str(failing.exception())
            await stream.purge_stream("IOFOG")
            await asyncio.wait_for(link.wait_connected(), 60)
            await link.send(message(3))
    assert "maximum messages exceeded; free space in it" in caplog.text


async def test_a_stream_of_somebody_else_with_these_subjects_is_named(server, caplog):
    async with operator(server) as stream:
        await stream.add_stream(StreamConfig(name="OTHER", subjects=["iofog.>"]))
        async with linked(server.url):
            await until(lambda: "subjects overlap" in caplog.text)
        assert "?stream=" in caplog.text
        async with linked(f"{server.url}?stream=OTHER") as link:
            await asyncio.wait_for(link.wait_connected(), 60)
            await link.send(message(1))


async def test_a_server_without_jetstream_is_reported(tmp_path, caplog):
    async with NatsServer(tmp_path / "nats", {"jetstream": False}) as server, linked(server.url):
        await until(lambda: "JetStream is not enabled; enable it on the server" in caplog.text)


async def test_no_password_is_sent_to_a_server_without_tls(caplog):
    heard = []

    async def serve(reader, writer):
        writer.write(b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576,"headers":true}\r\n')
        heard.append(await reader.read(1000))
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with linked(f"tls://bridge:secret@127.0.0.1:{port}"):
        await until(lambda: "the server does not offer TLS" in caplog.text)
    listener.close()
    assert not any(heard)


async def test_a_small_limit_leaves_room_for_small_messages(tmp_path):
    async with NatsServer(tmp_path / "nats", {"max_payload": 3000}) as server, linked(server.url) as link:
        await link.wait_connected()
        await link.send(message(1))


async def test_a_long_name_of_a_quantity_is_cut(server):
    url = f"{server.url}?subject=iofog.readings.x.{{quantity}}"
    async with operator(server) as stream, linked(url) as link:
        await link.wait_connected()
        long, odd = "q" * 70_000, "a\\r\\nb"
        await link.send(message(1, f'[{{"n":"{long}","v":1}},{{"n":"{odd}","v":2}}]'.encode()))
        info = await stream.stream_info("IOFOG", subjects_filter=">")
    assert sorted(info.state.subjects) == ["iofog.readings.x.a--b", f"iofog.readings.x.{'q' * 200}"]
