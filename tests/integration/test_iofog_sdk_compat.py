"""Programs written for the official Python SDK, on every kind of node."""

import asyncio
import gc
import json
import os
import queue
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest
from iofog.microservices.client import Client
from iofog.microservices.exception import IoFogException, IoFogHttpException
from iofog.microservices.iomessage import IoMessage
from iofog.microservices.listener import IoFogControlWsListener, IoFogMessageWsListener

import iofog_sdk
from local_agent import LocalAgent
from local_agent.edgelet_api import EdgeletApi
from local_agent.nats_server import NatsServer

from .conftest import agent_config, until

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/iomessage_v4.json").read_text())


class Messages(IoFogMessageWsListener):
    def __init__(self):
        self.come, self.receipts = [], queue.Queue()
        self.answer = None

    def on_message(self, io_msg):
        self.come.append(io_msg)
        if self.answer is not None:
            self.answer(io_msg)

    def on_receipt(self, message_id, timestamp):
        self.receipts.put((message_id, timestamp))


class Signals(IoFogControlWsListener):
    def __init__(self):
        self.configs = self.edge_resources = 0

    def on_control_signal(self):
        self.configs += 1

    def on_edge_resources_signal(self):
        self.edge_resources += 1


@pytest.fixture
async def client(agent):
    yield (make := Clients(agent))
    for each in make.made:
        await asyncio.to_thread(each.close)


class Clients:
    """Makes clients; their calls wait, so that the test does them in threads."""

    def __init__(self, agent):
        self._agent, self.made = agent, []

    def __call__(self, name="device", **more):
        made = Client(**{"id": self._agent.id_of(name), "host": "127.0.0.1", "port": self._agent.port} | more)
        self.made.append(made)
        return made


def message(content="a", **fields):
    io_msg = IoMessage()
    io_msg.infotype, io_msg.infoformat, io_msg.contentdata = "text", "utf-8", content
    for name, value in fields.items():
        setattr(io_msg, name, value)
    return io_msg


do = asyncio.to_thread


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"] == "iomessage"], ids=lambda v: v["name"])
def test_messages_are_encoded_and_decoded_both_ways(vector):
    data = bytes.fromhex(vector["hex"])
    io_msg = IoMessage.from_bytearray(list(data))
    assert io_msg.to_bytearray() == data
    again = IoMessage.from_json(io_msg.to_json())
    assert vars(IoMessage.from_json(json.loads(io_msg.to_json()))) == vars(again) == vars(io_msg)
    assert iofog_sdk.IoMessage.from_bytes(data).contentdata == io_msg.contentdata


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: IoMessage.from_bytearray(b"\0\5" + bytes(31)), "ioMessage version: only version 4 can be decoded"),
        (lambda: IoMessage.from_bytearray(b"\0"), "shorter than the 33-byte header"),
        (lambda: message(tag=5).to_bytearray(), "ioMessage tag: must be text, got 5"),
        (lambda: message(id="x" * 128).to_bytearray(), "ioMessage id: at most 127 bytes"),
        (lambda: IoMessage.from_json("no json"), "Expecting value"),
        (lambda: IoMessage.from_json('{"contentdata": "?"}'), "contentdata: is not base64"),
        (lambda: message(None).to_json(), "contentdata: must be bytes or text"),
    ],
)
def test_what_is_no_message_is_said_by_the_official_exception(call, text):
    with pytest.raises(IoFogException, match=text):
        call()


async def test_requests(agent, client):
    agent.set_config("device", {"rate": 5})
    device, viewer = client(), client("viewer", port=str(agent.port))
    assert await do(device.get_config) == {"rate": 5}
    assert await do(device.get_edge_resources) == []
    sent = message("gr\u00fc\u00df", tag="t", contextdata=b"\0\1", publisher="x", version=0)
    receipt = await do(device.post_message, sent)
    assert (len(receipt["id"]), sent.publisher, sent.version) == (32, device.id, 4)
    (come,) = await do(viewer.get_next_messages)
    assert (come.id, come.timestamp) == (receipt["id"], receipt["timestamp"])
    assert (come.contentdata.decode(), come.contextdata, come.tag) == ("gr\u00fc\u00df", b"\0\1", "t")
    assert await do(viewer.get_next_messages) == []
    query = {"timeframestart": 0, "timeframeend": receipt["timestamp"] + 10_000, "publishers": [device.id]}
    found = await do(viewer.get_next_messages_from_publishers_within_timeframe, query)
    assert (found["timeframestart"], found["timeframeend"]) == (0, receipt["timestamp"])
    assert [each.id for each in found["messages"]] == [receipt["id"]]


async def test_a_failed_call_raises_the_official_exception(agent, client, monkeypatch):
    device = client()
    with pytest.raises(IoFogException, match="has no configuration"):
        await do(device.get_config)
    agent.set_config("device", "no json")
    with pytest.raises(IoFogException, match="Expecting value"):
        await do(device.get_config)
    with pytest.raises(
        IoFogException, match="reason: Validation Error, Error: Missing input field value info"
    ) as failed:
        await do(device.post_message, IoMessage())
    assert isinstance(failed.value.args[0], IoFogHttpException)
    assert failed.value.args[0].code == 400
    with pytest.raises(IoFogException, match="the query has no timeframeend, publishers"):
        await do(device.get_next_messages_from_publishers_within_timeframe, {"timeframestart": 0})
    with pytest.raises(IoFogException, match="Invalid value of timeframestart"):
        await do(
            device.get_next_messages_from_publishers_within_timeframe,
            {"timeframestart": "a", "timeframeend": 1, "publishers": []},
        )
    with pytest.raises(IoFogException, match=r"127\.0\.0\.1:1: "):
        await do(client(port=1).get_next_messages)
    with pytest.raises(IoFogException, match="Establish message websocket connection first!"):
        device.post_message_via_socket(message())
    with pytest.raises(IoFogException, match="Invalid listener instance: Signals is no IoFogMessageWsListener"):
        device.establish_message_ws_connection(Signals())
    await do(device.establish_control_ws_connection, None)
    with pytest.raises(IoFogException, match="already established"):
        device.establish_control_ws_connection(Signals())
    await do(device.close)
    with pytest.raises(IoFogException, match="the client is closed"):
        device.get_config()
    for name in ("SELFNAME", "IOFOG_LINK", "EDGELET_MICROSERVICE_UID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(IoFogException, match="set SELFNAME="):
        Client()
    with pytest.raises(IoFogException, match="ssl: "):
        client(ssl=True)
    client(ssl="false")
    monkeypatch.setenv("IOFOG_LINK", "console:")
    printing = Client()
    with pytest.raises(IoFogException, match="carries messages alone, and has no control connection"):
        await do(printing.establish_control_ws_connection, Signals())
    await do(printing.close)
    with pytest.raises(IoFogException, match="invalid literal"):
        client(port="http")
    with pytest.raises(IoFogException, match="IOFOG_AGENT=h:99999: write host or host:port"):
        client(host="h", port=99999)


async def test_messages_by_socket_survive_lost_connections(agent, client):
    device, viewer, sender, receiver = client(), client("viewer"), Messages(), Messages()
    receiver.answer = lambda io_msg: viewer.post_message_via_socket(message(io_msg.contentdata))  # in its thread
    await do(viewer.establish_message_ws_connection, receiver)
    await do(device.establish_message_ws_connection, sender)
    for number in range(3):
        await until(lambda: len(agent.message_sockets.sessions) == 2)
        await do(device.post_message_via_socket, message(str(number), id="mine"))
        identity, timestamp = await do(sender.receipts.get, timeout=60)
        await until(lambda number=number: len(receiver.come) > number)
        assert (receiver.come[-1].id, receiver.come[-1].timestamp) == (identity, timestamp)
        await do(receiver.receipts.get, timeout=60)
        assert await do(viewer.get_next_messages) == []
        agent.message_sockets.sessions.clear()
        agent.drop_connections()
    assert [each.contentdata for each in receiver.come] == [b"0", b"1", b"2"]


async def test_a_listener_that_fails_is_called_again(agent, client, caplog):
    viewer, receiver = client("viewer"), Messages()
    receiver.answer = lambda io_msg: {}["not there"]
    await do(viewer.establish_message_ws_connection, receiver)
    for content in "ab":
        await do(client().post_message, message(content))
    await until(lambda: len(receiver.come) == 2)
    assert "iofog messages: a method of the listener failed" in caplog.text


async def test_receipts_that_never_come_are_counted(agent, client, caplog):
    device, sender = client(), Messages()
    await do(device.establish_message_ws_connection, sender)
    agent.faults.drop_receipts = True
    for _ in range(2):
        await do(device.post_message_via_socket, message())
    await until(lambda: agent.counters["published"] == 2)
    agent.drop_connections()
    await until(lambda: device.messages_without_receipt == 2)
    assert caplog.text.count("messages sent by socket have no receipt") == 1
    assert sender.receipts.empty()


async def test_a_change_is_signalled_once_also_one_without_a_connection(agent, client):
    agent.set_config("device", {"a": 1})
    device, signals = client(), Signals()
    assert await do(device.get_config) == {"a": 1}
    await do(device.establish_control_ws_connection, signals)
    identity = agent.id_of("device")
    await until(lambda: identity in agent.control_sockets.sessions)
    agent.set_config("device", {"a": 2})
    await until(lambda: signals.configs == 1)
    agent.drop_connections()
    agent.control_sockets.sessions.pop(identity)
    agent.set_config("device", {"a": 3})
    await until(lambda: identity in agent.control_sockets.sessions)
    await until(lambda: signals.configs == 2)
    assert await do(device.get_config) == {"a": 3}
    agent.apply(msgspec.structs.replace(agent.config, edge_resources=[{"name": "x"}]))
    await until(lambda: signals.edge_resources == 1)
    assert await do(device.get_edge_resources) == [{"name": "x"}]
    assert signals.configs == 2


@pytest.fixture
async def nats(tmp_path):
    async with NatsServer(tmp_path / "nats") as server:
        yield server


@pytest.mark.parametrize("kind", ["3.7", "edgelet"])
async def test_a_node_whose_messages_go_over_nats(tmp_path, nats, monkeypatch, kind):
    config = msgspec.structs.replace(agent_config(device={"a": 1}), messages=False)
    received = f"iofog.readings.{'default' if kind == '3.7' else 'local'}.>"
    async with LocalAgent(config) as agent, EdgeletApi(agent, tmp_path / "edgelet") as api:
        clients = []
        for name in ("device", "viewer"):
            variables = {"NATS_SERVER_URL": nats.url, "IOFOG_MICROSERVICE": name}
            if name == "viewer":
                variables["IOFOG_RECEIVE"] = received
            if kind == "3.7":
                variables |= {"SELFNAME": agent.id_of(name), "IOFOG_AGENT": f"127.0.0.1:{agent.port}"}
            else:
                variables |= api.variables(name)
            with monkeypatch.context() as patch:
                for key, value in variables.items():
                    patch.setenv(key, value)
                clients.append(Client())
        device, viewer = clients
        assert await do(device.get_config) == {"a": 1}
        assert await do(viewer.get_next_messages) == []
        first = await do(device.post_message, message("1", sequencenumber=1, groupid="g"))
        come = []

        async def fetched():
            while not come:
                come.extend(await do(viewer.get_next_messages))

        await asyncio.wait_for(fetched(), 60)
        assert [(each.contentdata, each.groupid) for each in come] == [(b"1", "g")]
        assert first["timestamp"] > 0
        receiver, sender, signals = Messages(), Messages(), Signals()
        await do(viewer.establish_message_ws_connection, receiver)
        await do(device.establish_message_ws_connection, sender)
        await do(device.establish_control_ws_connection, signals)
        await do(device.post_message_via_socket, message("2", sequencenumber=2, groupid="g"))
        await do(sender.receipts.get, timeout=60)
        await until(lambda: [each.contentdata for each in receiver.come] == [b"2"])
        before = signals.configs
        await until(lambda: agent.control_sockets.sessions or api._sessions)
        agent.set_config("device", {"a": 2})
        await until(lambda: signals.configs > before)
        with pytest.raises(IoFogException, match="keeps no messages to query"):
            await do(
                device.get_next_messages_from_publishers_within_timeframe,
                {"timeframestart": 0, "timeframeend": 1, "publishers": []},
            )
        for each in clients:
            await do(each.close)


@pytest.mark.timeout(25)  # asyncio waits 30 s for the end of TLS
async def test_closing_ends_and_leaves_no_socket_open_when_the_node_hangs(tmp_path, monkeypatch):
    """The end of TLS needs an answer of the node, whose loop this test stands in the way of."""
    async with LocalAgent(agent_config(device={"a": 1})) as agent, EdgeletApi(agent, tmp_path) as api:
        for key, value in api.variables("device").items():
            monkeypatch.setenv(key, value)
        client = Client()
        await do(client.get_config)
        await do(client.establish_control_ws_connection, Signals())
        await until(lambda: api._sessions)
        client.close()
        del client
        gc.collect()  # warns of what was left open


PROGRAM = """
    import sys
    from iofog.microservices.client import Client
    from iofog.microservices.exception import IoFogException
    from iofog.microservices.iomessage import IoMessage
    from iofog.microservices.listener import *

    client = Client(host="localhost", port=int(sys.argv[1]))

    class Echo(IoFogMessageWsListener):
        def on_message(self, io_msg):
            client.post_message_via_socket(io_msg)

    class Control(IoFogControlWsListener):
        def on_control_signal(self):
            print(client.get_config()["text"], flush=True)

    try:
        print(client.get_config()["text"], flush=True)
    except IoFogException as e:
        print(e)
    """
CONNECTS = """
    client.establish_message_ws_connection(Echo())
    client.establish_control_ws_connection(Control())
    """


def program(agent, code):
    return subprocess.Popen(
        (sys.executable, "-c", textwrap.dedent(code), str(agent.port)),
        env=os.environ | {"SELFNAME": agent.id_of("device")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_a_program_ends_with_its_main_thread_without_connections(agent):
    agent.set_config("device", {"text": "hello"})
    assert await do(program(agent, PROGRAM).communicate, timeout=60) == ("hello\n", "")


async def test_a_program_lives_on_with_its_connections_and_reconnects_by_name(agent):
    agent.set_config("device", {"text": "hello"})
    identity = agent.id_of("device")
    running = program(agent, PROGRAM + CONNECTS)
    try:
        assert await do(running.stdout.readline) == "hello\n"
        for text in "ab":
            await until(lambda: identity in agent.message_sockets.sessions)
            await until(lambda: identity in agent.control_sockets.sessions)
            agent.set_config("device", {"text": text})
            assert await do(running.stdout.readline) == f"{text}\n"
            agent.message_sockets.sessions.clear()
            agent.control_sockets.sessions.clear()
            agent.drop_connections()
    finally:
        running.terminate()
        logged = (await do(running.communicate))[1].splitlines()
    assert any(" socket is down: " in line for line in logged)
    # a connection that opens fetches the configuration too, which a drop may hit
    expected = (" socket is down: ", "configuration not fetched: ")
    assert [line for line in logged if not any(text in line for text in expected)] == []
