"""The SDK's client against the local agent, behaving and misbehaving."""

import asyncio
import json

import pytest
from aiohttp import web

from iofog_sdk import (
    Backoff,
    ConnectionLost,
    ConsoleLink,
    IoMessage,
    LinkError,
    LocalApiClient,
    MessageError,
    NodeNotFound,
    NodeUnreachable,
    ReceiptTimeout,
    RequestRefused,
    SequenceTracker,
    connect,
)
from iofog_sdk.http import frames
from local_agent import LocalAgent
from local_agent.ports import free_port

from .conftest import Steps, agent_config, environment, until

QUICK = {"backoff": Backoff(0.05, 0.1), "ping_interval_s": 0.2, "answer_timeout_s": 1.0}


def message(agent, **fields):
    return IoMessage(publisher=agent.id_of("device"), infotype="t", infoformat="f", **fields)


@pytest.fixture
async def client(agent):
    client = LocalApiClient(agent.id_of("device"), "127.0.0.1", agent.port, timeout_s=2)
    yield client
    await client.close()


@pytest.fixture
async def sockets():
    opened = []

    def begin(made):
        opened.append(made)
        made.start()
        return made

    yield begin
    for each in opened:
        await each.close()


async def test_config_is_text_or_none(agent, client):
    assert await client.get_config() is None
    agent.set_config("device", {"a": 1})
    assert json.loads(await client.get_config()) == {"a": 1}
    agent.set_config("device", "")
    assert await client.get_config() == ""


async def test_rest_messages_both_ways(agent, client):
    receipt = await client.post_message(message(agent, contentdata=b"\x00\xff", tag="caf\u00e9"))
    viewer = LocalApiClient(agent.id_of("viewer"), "127.0.0.1", agent.port)
    (received,) = await viewer.next_messages()
    assert (received.id, received.version, received.tag) == (receipt.id, 0, "caf\u00e9")
    found = await viewer.query_messages(receipt.timestamp, receipt.timestamp, [agent.id_of("device")])
    assert [m.contentdata for m in found] == [b"\x00\xff"]
    with pytest.raises(ConnectionLost, match="without a reply"):
        await viewer.query_messages(0, 1, [agent.id_of("device")])
    await viewer.close()


async def test_refusals_carry_the_agents_words_alone(client):
    with pytest.raises(RequestRefused) as caught:
        await client.post_message(IoMessage(infotype=" ", infoformat="f"))
    assert caught.value.status == 400
    assert caught.value.text == "Validation Error, Error: Missing input field value infotype"


async def test_the_position_is_reported_to_the_agent(agent, client):
    await client.set_position(-53.5, 9.9999999)
    assert agent.position == {"lat": "-53.500000", "lon": "10.000000"}


async def test_edge_resources_and_log(client):
    assert await client.edge_resources() == []
    await client.log("hello")
    await client.log("careful", warning=True)


async def test_a_closed_connection_is_an_error_and_the_next_request_works(agent, client):
    agent.faults.close_without_reply = True
    with pytest.raises(ConnectionLost, match="without a reply"):
        await client.get_config()
    agent.faults.close_without_reply = False
    assert await client.get_config() is None


@pytest.mark.parametrize("body", [b"", b"{", b'"\xff"', b'{"config":' + b"[" * 100_000], ids=len)
async def test_a_reply_that_is_no_json_is_an_error_of_the_link(agent, client, monkeypatch, body):
    async def respond(_):
        return web.Response(body=body)

    monkeypatch.setattr(agent, "respond", respond)
    with pytest.raises(ConnectionLost, match="reply is not JSON"):
        await client.get_config()


async def test_a_hanging_agent_is_given_up(agent):
    agent.faults.hang = True
    client = LocalApiClient(agent.id_of("device"), "127.0.0.1", agent.port, timeout_s=1)
    with pytest.raises(ConnectionLost, match=r"no answer within 1 s"):
        await client.get_config()
    await client.close()


async def test_nobody_listening_is_named(unused_port):
    client = LocalApiClient("x", "127.0.0.1", unused_port)
    with pytest.raises(NodeUnreachable, match=f"127.0.0.1:{unused_port}"):
        await client.get_config()


@pytest.fixture
def unused_port():
    return free_port()


async def test_messages_over_the_socket_in_order_with_receipts(agent, client, sockets):
    received = []
    viewer = LocalApiClient(agent.id_of("viewer"), "127.0.0.1", agent.port)
    listening = sockets(viewer.message_socket(received.append, **QUICK))
    sending = sockets(client.message_socket(**QUICK))
    await asyncio.gather(listening.wait_connected(), sending.wait_connected())
    receipts = await asyncio.gather(*(sending.send(message(agent, sequencenumber=n)) for n in range(1, 501)))
    await until(lambda: len(received) == 500)
    assert [m.sequencenumber for m in received] == list(range(1, 501))
    assert [m.id for m in received] == [r.id for r in receipts]


async def test_messages_are_acknowledged(agent, client, sockets):
    listening = sockets(client.message_socket(lambda _: None, **QUICK))
    await listening.wait_connected()
    session = agent.message_sockets.sessions[agent.id_of("device")]
    session.deliver(b"\x0d" + bytes(4) + b"broken", agent.now())
    await until(lambda: session._pending is None)


async def test_a_message_the_agent_sends_again_is_known_as_a_duplicate(agent):
    tracker = SequenceTracker()
    async with connect(environment(agent, "viewer")) as link:
        await link.wait_connected()
        agent.bus.publish(message(agent, groupid="run", sequencenumber=1))
        inbox = aiter(link.messages())
        first = await anext(inbox)
        session = agent.message_sockets.sessions[agent.id_of("viewer")]
        session.send_binary(frames.msg_frame(first.to_bytes()))
        again = await anext(inbox)
        await inbox.aclose()
    assert [tracker.is_new(m) for m in (first, again)] == [True, False]
    assert tracker.duplicates == 1


async def test_text_the_agent_would_corrupt_is_refused(agent, client, sockets):
    sending = sockets(client.message_socket(**QUICK))
    await sending.wait_connected()
    with pytest.raises(MessageError, match="tag: must be ASCII"):
        await sending.send(message(agent, tag="caf\u00e9"))


async def test_without_a_connection_sending_fails_at_once(unused_port, sockets):
    sending = sockets(LocalApiClient("x", "127.0.0.1", unused_port).message_socket(**QUICK))
    with pytest.raises(LinkError):
        await sending.send(IoMessage(publisher="x", infotype="t", infoformat="f"))


async def test_a_restarted_agent_is_found_again(agent, client, sockets):
    sending = sockets(client.message_socket(**QUICK))
    await sending.wait_connected()
    port = agent.port
    await agent.close()
    await until(lambda: not sending.connected)
    async with LocalAgent(agent_config(port=port)):
        await asyncio.wait_for(sending.wait_connected(), 60)
        await sending.send(message(agent))


async def test_a_missing_receipt_ends_the_connection_and_every_wait(agent, client, sockets):
    agent.faults.drop_receipts = True
    sending = sockets(client.message_socket(receipt_timeout_s=0.2, **QUICK))
    await sending.wait_connected()
    outcomes = await asyncio.gather(*(sending.send(message(agent)) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(outcome, ReceiptTimeout) for outcome in outcomes)
    agent.faults.drop_receipts = False
    await sending.wait_connected()
    await sending.send(message(agent))


async def test_a_silent_death_is_found_by_pings(agent, client, sockets):
    quick = QUICK | {"answer_timeout_s": 0.3}
    sending = sockets(client.message_socket(**quick))
    await sending.wait_connected()
    agent.faults.hang = True  # the TCP connection stays open
    await until(lambda: not sending.connected)
    agent.faults.hang = False
    await asyncio.wait_for(sending.wait_connected(), 60)


async def test_being_forgotten_by_the_agent_is_found_by_pings(agent, client, sockets):
    sending = sockets(client.message_socket(**(QUICK | {"answer_timeout_s": 0.3})))
    await sending.wait_connected()
    agent.message_sockets.remove(agent.message_sockets.sessions[agent.id_of("device")])
    await until(lambda: not sending.connected)
    await asyncio.wait_for(sending.wait_connected(), 60)


@pytest.mark.parametrize("garbage", [b"\x0e", b"\x0e\x20\x08short", b"\xff\xff", b"\x00"])
async def test_garbage_in_place_of_a_receipt_never_hangs_a_sender(agent, client, sockets, garbage):
    agent.faults.garbage = garbage
    sending = sockets(client.message_socket(receipt_timeout_s=0.3, **QUICK))
    await sending.wait_connected()
    with pytest.raises(LinkError):
        await asyncio.wait_for(sending.send(message(agent)), 60)


async def test_an_agent_that_opens_and_closes_is_not_hammered(agent, client, sockets):
    opened = []
    agent.message_sockets.register = lambda session: opened.append(session) or agent.drop_connections()
    sockets(client.message_socket(backoff=Backoff(0.1, 10.0), ping_interval_s=1, answer_timeout_s=1))
    await until(lambda: len(opened) >= 4)
    start = asyncio.get_running_loop().time()
    await until(lambda: len(opened) >= 5)
    assert asyncio.get_running_loop().time() - start > 0.3  # the fifth step is at least 0.8 s long by half


async def test_a_connection_that_carries_is_taken_up_at_once_and_one_that_does_not_backs_off(agent, client, sockets):
    steps = Steps()
    socket = sockets(client.message_socket(backoff=steps))
    for sends in (True, True, True, False, False, False):
        await socket.wait_connected()
        if sends:
            await socket.send(message(agent))
        taken = len(steps.taken)
        agent.drop_connections()
        await until(lambda taken=taken: len(steps.taken) > taken)
    assert steps.taken == [1, 1, 1, 2, 4, 8]


async def test_a_connection_that_brings_messages_is_taken_up_at_once_too(agent, sockets):
    steps, received = Steps(), []
    viewer = LocalApiClient(agent.id_of("viewer"), "127.0.0.1", agent.port)
    socket = sockets(viewer.message_socket(received.append, backoff=steps))
    for brings in (True, True, False, False):
        await socket.wait_connected()
        if brings:
            received.clear()
            agent.bus.publish(message(agent))
            await until(lambda: received)
        taken = len(steps.taken)
        agent.drop_connections()
        await until(lambda taken=taken: len(steps.taken) > taken)
    assert steps.taken == [1, 1, 2, 4]


async def test_config_signals_arrive_and_every_reconnect_asks_again(agent, client, sockets):
    asked = []
    control = sockets(client.control_socket(lambda: asked.append(True), **QUICK))
    await control.wait_connected()
    assert len(asked) == 1
    agent.set_config("device", {"a": 1})
    await until(lambda: len(asked) == 2)
    await until(lambda: agent.control_sockets.sessions[agent.id_of("device")]._pending is None)
    agent.drop_connections()
    await until(lambda: len(asked) == 3)


async def test_a_change_whose_signal_is_swallowed_is_found(agent, monkeypatch, caplog):
    monkeypatch.setattr("iofog_sdk.links.control.REFETCH_S", 0.2)
    monkeypatch.setattr("iofog_sdk.links.control._SIGNAL_DELAY_S", 0.1)
    agent.set_config("device", {"n": 1})
    configs = []
    link = connect(environment(agent))
    link.on_config = configs.append
    async with link:
        await until(lambda: configs)
        agent.faults.drop_signals = True
        agent.set_config("device", {"n": 2})
        await until(lambda: configs[-1] == '{"n":2}')
        await until(lambda: "changed and no signal came; the control socket is opened again" in caplog.text)


async def test_a_link_that_is_not_read_stays_up_and_keeps_the_newest_messages(agent):
    texts, inbox = [], []
    link = connect(environment(agent, "viewer"))
    link.on_config = texts.append
    async with link:
        await asyncio.wait_for(link.wait_connected(), 60)
        await until(lambda: texts == [None])
        agent.set_config("viewer", {"b": 2})
        await until(lambda: texts[-1] == '{"b":2}')
        async with connect(environment(agent)) as device:
            await device.wait_connected()
            await asyncio.gather(*(device.send(message(agent, sequencenumber=n)) for n in range(1, 3001)))

        await until(lambda: link.dropped_incoming == 2000)
        assert link.connected
        async for received in link.messages():
            inbox.append(received.sequencenumber)
            if len(inbox) == 1000:
                break
        assert inbox == list(range(2001, 3001))


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({}, "neither SELFNAME nor EDGELET_MICROSERVICE_UID is set"),
        ({"IOFOG_LINK": "agent://host"}, "needs SELFNAME"),
        ({"IOFOG_LINK": "ftp://host", "SELFNAME": "x"}, "agent://host:54321, nats://host:4222"),
        ({"IOFOG_LINK": "agent://host:port", "SELFNAME": "x"}, "write agent://host:54321"),
        ({"IOFOG_LINK": "agent://host", "SELFNAME": "a/b"}, "is not a UUID"),
    ],
)
def test_an_environment_without_a_node_says_what_to_set(variables, text):
    with pytest.raises(NodeNotFound, match=text):
        connect(variables)


async def test_the_console_link_prints_and_gives_receipts(capfd):
    async with connect({"IOFOG_LINK": "console:"}) as link:
        assert isinstance(link, ConsoleLink)
        await link.send(IoMessage(infotype="t", infoformat="f", contentdata=b'[{"v":1}]'))
    assert json.loads(capfd.readouterr().out)["content"] == [{"v": 1}]
