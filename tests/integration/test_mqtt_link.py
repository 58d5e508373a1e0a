"""MQTT: retained status and last will as others see them, commands, TLS, and the log when a client is refused."""

import asyncio
import contextlib
import gc
import json
import shutil
from collections import Counter

import pytest

from iofog_sdk import Address, ConnectionLost, IoMessage, MessageError, connect
from local_agent.nats_server import NatsServer
from local_agent.ports import free_port
from local_agent.service_accounts import Authority
from pytest_simulated_devices import Relay

from .conftest import Steps, until
from .nodes import MosquittoNode

PACK = b'[{"bn":"truck:","bt":1.5,"n":"speed","u":"m/s","v":2},{"n":"course","u":"deg","v":90}]'
HERE = shutil.which("mosquitto") and shutil.which("mosquitto_sub")
MOSQUITTO = "apt-get install mosquitto mosquitto-clients"
needs_mosquitto = pytest.mark.skipif(not HERE, reason=MOSQUITTO)


def message(number=1, content=PACK, kind="application/senml+json"):
    return IoMessage(groupid="run", sequencenumber=number, infotype=kind, infoformat="utf-8", contentdata=content)


@contextlib.asynccontextmanager
async def linked(url, **variables):
    link = connect({"IOFOG_LINK": url, "IOFOG_MICROSERVICE": "gps"} | variables)
    link._backoff._initial_s = link._backoff._max_s = 0.05
    async with link:
        yield link


@contextlib.asynccontextmanager
async def mosquitto(folder, settings=""):
    """A broker; gives its port."""
    node = MosquittoNode(folder)
    config = folder / "mosquitto.conf"
    node.more = settings
    await node.start_server()
    try:
        yield node.server_port
    finally:
        await node.stop_server(kill=False)
        config.unlink()


async def seen(port, *arguments, count=1):
    """What mosquitto_sub prints: topic and payload of so many messages."""
    command = ["mosquitto_sub", "-p", str(port), "-v", "-C", str(count), "-W", "10", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return [tuple(line.split(" ", 1)) for line in out.decode().splitlines()]


async def published(port, topic, text, *arguments):
    """By mosquitto_pub."""
    command = ["mosquitto_pub", "-p", str(port), "-t", topic, *(["-m", text] if text else []), *arguments]
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0


@needs_mosquitto
async def test_an_independent_client_sees_readings_and_their_numbers(tmp_path):
    async with mosquitto(tmp_path) as port, linked(f"mqtt://127.0.0.1:{port}?retain=true") as link:
        await link.wait_connected()
        await link.send(message(7))
        ((topic, text),) = await seen(port, "-t", "iofog/default/gps/readings")
    pack = json.loads(text)
    assert topic == "iofog/default/gps/readings"
    assert pack[0] == {"run": "run", "seq": 7, "bn": "truck:", "bt": 1.5, "n": "speed", "u": "m/s", "v": 2}
    assert pack[1] == {"n": "course", "u": "deg", "v": 90}


@needs_mosquitto
async def test_each_quantity_has_a_topic_of_its_own_if_wanted(tmp_path):
    url = "mqtt://127.0.0.1:{}?retain=true&topic=plant/{{microservice}}/{{quantity}}"
    async with mosquitto(tmp_path) as port, linked(url.format(port)) as link:
        await link.wait_connected()
        await link.send(message())
        found = dict(await seen(port, "-t", "plant/gps/#", count=2))
    assert sorted(found) == ["plant/gps/course", "plant/gps/speed"]
    assert json.loads(found["plant/gps/course"])[0]["v"] == 90


@needs_mosquitto
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_birth_end_and_last_will_are_retained(tmp_path, version):
    topic = "iofog/default/gps/status"
    async with mosquitto(tmp_path) as port:
        url = f"mqtt://127.0.0.1:{port}?version={version}"
        async with linked(url) as link:
            await link.wait_connected()
            assert await seen(port, "-t", topic) == [(topic, "online")]
        assert await seen(port, "-t", topic) == [(topic, "offline")]
        async with Relay(port) as relay, linked(url.replace(str(port), str(relay.port))) as link:
            await link.wait_connected()
            assert await seen(port, "-t", topic) == [(topic, "online")]
            relay.refuse = True
            relay.drop()  # as a cut cable, which says no goodbye
            while await seen(port, "-t", topic) != [(topic, "offline")]:
                assert not link.connected


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("broker", ["nats", "mosquitto"])
async def test_every_quality_of_service(tmp_path, broker, qos):
    if broker == "mosquitto" and not HERE:
        pytest.skip(MOSQUITTO)
    async with contextlib.AsyncExitStack() as stack:
        if broker == "nats":
            server = await stack.enter_async_context(NatsServer(tmp_path / "nats", mqtt=True))
            port, version = server.mqtt_port, "3.1.1"
        else:
            port, version = await stack.enter_async_context(mosquitto(tmp_path)), "5"
        url = f"mqtt://127.0.0.1:{port}?version={version}&qos={qos}"
        link = await stack.enter_async_context(linked(url))
        end = await stack.enter_async_context(linked(f"{url}&receive=iofog/default/gps/%23", IOFOG_MICROSERVICE="v"))
        await asyncio.gather(link.wait_connected(), end.wait_connected())
        for number in range(1, 21):
            await link.send(message(number))
        received = end.messages()
        numbers = []
        while len(numbers) < 20:
            told = await asyncio.wait_for(anext(received), 60)
            numbers += [told.sequencenumber] if told.groupid else []
    assert numbers == list(range(1, 21))


async def test_commands_wait_while_the_microservice_is_away(tmp_path):
    async with NatsServer(tmp_path / "nats", mqtt=True) as server:
        url = f"mqtt://127.0.0.1:{server.mqtt_port}?version=3.1.1"
        async with linked(url) as link:
            await link.wait_connected()
        topic = "results=iofog/default/gps/commands"
        async with linked(f"{url}&{topic}", IOFOG_MICROSERVICE="operator") as operator:
            await operator.wait_connected()
            await operator.send(message(1, b'{"command":"tare"}', "application/json"))
        async with linked(url) as link:
            told = await asyncio.wait_for(anext(link.messages()), 60)
    assert json.loads(told.contentdata)["command"] == "tare"
    assert told.timestamp == 0, "nobody knows how long it has waited"


async def failing(url, text, caplog):
    """One clear line for what is wrong, however often it is tried again."""
    async with linked(url) as link:
        link._backoff = steps = Steps()
        await until(lambda: text in caplog.text and len(steps.taken) > 3)
        assert not link.connected
    assert caplog.text.count(text) == 1
    assert "secret" not in caplog.text


@needs_mosquitto
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_wrong_password_is_said_and_a_right_one_taken_when_it_comes(tmp_path, caplog, version):
    users, word = tmp_path / "users", tmp_path / "password"
    word.write_text("wrong")
    done = await asyncio.create_subprocess_exec("mosquitto_passwd", "-b", "-c", str(users), "bridge", "secret")
    await done.wait()
    async with mosquitto(tmp_path, f"password_file {users}\nallow_anonymous false\n") as port:
        url = f"mqtt://bridge@127.0.0.1:{port}?version={version}&password_file={word}"
        await failing(url, "refuses user bridge", caplog)
        async with linked(url) as link:
            word.write_text("secret\n")
            await asyncio.wait_for(link.wait_connected(), 60)


@needs_mosquitto
async def test_a_topic_that_is_not_allowed_is_named(tmp_path):
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite iofog/default/gps/status\ntopic read iofog/default/gps/commands\n")
    async with mosquitto(tmp_path, f"acl_file {rules}\n") as port, linked(f"mqtt://127.0.0.1:{port}") as link:
        await asyncio.wait_for(link.wait_connected(), 60)
        with pytest.raises(ConnectionError, match="iofog/default/gps/readings is refused: Not authorized"):
            await link.send(message())


@needs_mosquitto
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of paho's, whose handshake failed
async def test_tls_with_an_authority_and_a_client_certificate(tmp_path, caplog):
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    chain = tmp_path / "ours" / "server.pem"
    tls = f"cafile {ours.certificate}\ncertfile {chain}\nkeyfile {chain}\nrequire_certificate true\n"
    async with mosquitto(tmp_path, tls) as port:
        url = f"mqtts://localhost:{port}?certificate={chain}&ca="
        async with linked(f"{url}{ours.certificate}") as link:
            await asyncio.wait_for(link.wait_connected(), 60)
            for number in range(1, 200):
                await link.send(message(number))
        await failing(f"{url}{others.certificate}", "check ?ca=", caplog)
        wanted = "it may want a client certificate"
        await failing(f"mqtts://localhost:{port}?ca={ours.certificate}", wanted, caplog)
        await failing(f"mqtt://localhost:{port}", "a port for TLS does that: write mqtts://", caplog)
    async with mosquitto(tmp_path) as port:
        await failing(f"mqtts://localhost:{port}", "a port without TLS does that: write mqtt://", caplog)
        gc.collect()


@pytest.mark.parametrize(
    ("version", "content"),
    [("5", b'{"command":"tare"}'), ("3.1.1", b'{"command":"drive","run":true,"seq":5}')],
)
@needs_mosquitto
async def test_a_command_that_has_waited_at_the_broker_is_as_old_as_it_says_or_of_no_age(tmp_path, version, content):
    async with mosquitto(tmp_path) as port:
        url = f"mqtt://127.0.0.1:{port}?version={version}"
        async with linked(url) as link:
            await link.wait_connected()
        command = IoMessage(
            groupid="run",
            sequencenumber=3,
            timestamp=1_700_000_000_000,
            infotype="application/json",
            tag=Address("gps").tag(),
            contentdata=content,
        )
        async with linked(f"{url}&status=", IOFOG_MICROSERVICE="operator") as operator:
            await operator.wait_connected()
            await operator.send(command)
        async with linked(url) as link:
            told = await asyncio.wait_for(anext(link.messages()), 60)
        assert told.timestamp == (1_700_000_000_000 if version == "5" else 0)
        assert (told.contentdata, told.groupid, told.sequencenumber) == (content, "run", 3)


@needs_mosquitto
async def test_messages_that_expire_are_not_kept_for_the_absent(tmp_path):
    async with mosquitto(tmp_path) as port:
        receive = "receive=iofog/default/gps/readings"
        url = f"mqtt://127.0.0.1:{port}?status="
        async with linked(f"{url}&{receive}", IOFOG_MICROSERVICE="v") as end:
            await end.wait_connected()
        async with linked(f"{url}&expiry_s=1") as link:
            await link.wait_connected()
            await link.send(message(1))
            await asyncio.sleep(2.1)
        async with linked(url) as link:
            await link.wait_connected()
            await link.send(message(2))
        async with linked(f"{url}&{receive}", IOFOG_MICROSERVICE="v") as end:
            told = await asyncio.wait_for(anext(end.messages()), 60)
    assert told.sequencenumber == 2


@needs_mosquitto
async def test_any_number_of_messages_that_cannot_be_sent_are_given_up_one_after_another(tmp_path):
    async with mosquitto(tmp_path) as port, linked(f"mqtt://127.0.0.1:{port}?window=4") as link:
        await link.wait_connected()
        bad = IoMessage(groupid="g", sequencenumber=1, tag="\x01", infotype="text/plain", contentdata=b"x").to_bytes()
        outcomes = []
        for _ in range(3000):
            link.post(bad, outcomes.append)
        await link.send(message(2))
        assert len(outcomes) == 3000
        assert {str(each) for each in outcomes} == {str(outcomes[0])}
        assert isinstance(outcomes[0], MessageError)


@needs_mosquitto
@pytest.mark.parametrize("told", ["version=5", "version=3.1.1&max_payload=18000"])
async def test_a_message_that_is_too_large_is_given_up_and_no_other(tmp_path, told):
    async with (
        mosquitto(tmp_path, "max_packet_size 20000\n") as port,
        linked(f"mqtt://127.0.0.1:{port}?{told}") as link,
    ):
        await link.wait_connected()
        large = asyncio.ensure_future(link.send(message(1, bytes(20_000))))
        await link.send(message(2))
        with pytest.raises(MessageError, match="bytes can be sent to this MQTT broker, got 20000"):
            await large
        assert link.connected


@needs_mosquitto
@pytest.mark.parametrize("told", ["version=5", "version=3.1.1&window=3"])
@pytest.mark.parametrize("qos", [1, 2])
async def test_a_broker_gets_no_more_at_once_than_it_takes(tmp_path, told, qos):
    """One message has 30 topics, and a broker that takes 3 publications ends a connection that sends a fourth."""
    pack = json.dumps([{"n": f"q{number}", "v": number} for number in range(30)]).encode()
    topic = "topic=plant/{microservice}/{quantity}"
    async with (
        mosquitto(tmp_path, "max_inflight_messages 3\n") as port,
        linked(f"mqtt://127.0.0.1:{port}?{told}&qos={qos}&{topic}") as link,
    ):
        await link.wait_connected()
        await asyncio.gather(*(link.send(message(number, pack)) for number in range(1, 21)))


@needs_mosquitto
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_what_was_not_taken_comes_again_and_what_was_taken_does_not(tmp_path, version):
    async with mosquitto(tmp_path) as port:
        url = f"mqtt://127.0.0.1:{port}?version={version}"
        async with linked(url) as link:
            await link.wait_connected()
        topic = "results=iofog/default/gps/commands"
        async with linked(f"{url}&{topic}", IOFOG_MICROSERVICE="operator") as operator:
            await operator.wait_connected()
            for number in range(1, 4):
                await operator.send(message(number, b'{"command":"tare"}', "application/json"))
        numbers = []
        for _ in range(2):
            async with linked(url) as link:
                received = link.messages()
                numbers += [(await asyncio.wait_for(anext(received), 60)).sequencenumber for _ in range(2)]
    assert numbers == [1, 2, 2, 3]  # the second one was still being worked on


async def test_what_comes_again_on_the_next_connection_is_known(tmp_path):
    """An acknowledgement that was lost: NATS sends the message again, and says so."""
    settings = {"mqtt": {"listen": "127.0.0.1:0", "ack_wait": "500ms"}}
    async with NatsServer(tmp_path / "nats", mqtt=True) as server:
        settings["mqtt"]["listen"] = f"127.0.0.1:{server.mqtt_port}"
        await server.stop()
        await server.start(settings)
        async with (
            Relay(server.mqtt_port) as relay,
            linked(f"mqtt://127.0.0.1:{relay.port}?version=3.1.1") as link,
            linked(
                f"mqtt://127.0.0.1:{server.mqtt_port}?version=3.1.1&results=iofog/default/gps/commands",
                IOFOG_MICROSERVICE="operator",
            ) as operator,
        ):
            await asyncio.gather(link.wait_connected(), operator.wait_connected())
            received = link.messages()
            relay.mute = True
            await operator.send(message(1, b'{"command":"tare"}', "application/json"))
            assert (await asyncio.wait_for(anext(received), 60)).sequencenumber == 1
            following = asyncio.ensure_future(anext(received))
            relay.heal()
            relay.drop()
            await until(lambda: not link.connected)
            await link.wait_connected()
            await asyncio.sleep(1.0)  # longer than the server waits for an acknowledgement
            await operator.send(message(2, b'{"command":"tare"}', "application/json"))
            assert (await asyncio.wait_for(following, 60)).sequencenumber == 2


def failing_once(monkeypatch, owner, name):
    """Has a method raise what nobody thought of, once."""
    method = getattr(owner, name)

    def fail(*arguments, **options):
        monkeypatch.setattr(owner, name, method)
        raise KeyError("nobody thought of it")

    monkeypatch.setattr(owner, name, fail)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@needs_mosquitto
async def test_what_cannot_be_dealt_with_comes_again_on_another_connection(tmp_path, monkeypatch, caplog, version):
    async with mosquitto(tmp_path) as port, linked(f"mqtt://127.0.0.1:{port}?version={version}") as link:
        await link.wait_connected()
        failing_once(monkeypatch, link._inbox, "put")
        received = link.messages()
        for number in range(3):
            await published(port, "iofog/default/gps/commands", str(number), "-q", "1")
        for number in range(3):
            assert (await asyncio.wait_for(anext(received), 60)).contentdata == b"%d" % number
    assert "unexpected error; reconnecting" in caplog.text


@needs_mosquitto
async def test_a_receipt_that_cannot_be_dealt_with_ends_the_connection(tmp_path, monkeypatch, caplog):
    async with mosquitto(tmp_path) as port, linked(f"mqtt://127.0.0.1:{port}") as link:
        await link.wait_connected()
        failing_once(monkeypatch, link._in_flight, "acknowledge")
        with pytest.raises(ConnectionLost, match="nobody thought of it"):
            await asyncio.wait_for(link.send(message(1)), 5)
        await asyncio.wait_for(link.wait_connected(), 60)
        await link.send(message(2))
    assert "unexpected error; reconnecting" in caplog.text


CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ = 1, 3, 4, 8, 12


class ReusingBroker:
    """Speaks MQTT 3.1.1 itself: it uses a packet identifier again at once, and loses what it has sent under it.

    The command of the first connection is acknowledged; a second one under the same identifier is lost with that
    connection, and is sent with DUP on the next one.

    Parameters:
        after: packets of the client, by kind, that the first connection still answers.
    """

    COMMAND = b'{"command":"on"}'

    def __init__(self, after):
        self.connections, self.is_acknowledged, self._after = 0, False, Counter(after)

    async def serve(self, reader, writer):
        self.connections += 1
        is_first = self.connections == 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            while not (is_first and self.is_acknowledged and self._after.total() <= 0):
                kind, body = await self._packet(reader)
                if kind == CONNECT:
                    writer.write(bytes([0x20, 2, not is_first, 0]))
                elif kind == SUBSCRIBE:
                    writer.write(b"\x90\x03" + body[:2] + b"\x01" + self._publish(is_duplicate=not is_first))
                elif kind == PUBLISH:
                    end = 2 + int.from_bytes(body[:2], "big")
                    writer.write(b"\x40\x02" + body[end : end + 2])
                elif kind == PINGREQ:
                    writer.write(b"\xd0\x00")
                self.is_acknowledged |= kind == PUBACK
                if self.is_acknowledged:
                    self._after -= Counter({kind: 1})

    async def _packet(self, reader):
        (kind,) = await reader.readexactly(1)
        size = shift = 0
        while True:
            (each,) = await reader.readexactly(1)
            size |= (each & 127) << shift
            shift += 7
            if each < 128:
                return kind >> 4, await reader.readexactly(size)

    def _publish(self, *, is_duplicate):
        topic = b"iofog/default/gps/commands"
        body = len(topic).to_bytes(2, "big") + topic + b"\x00\x01" + self.COMMAND
        return bytes([0x3A if is_duplicate else 0x32, len(body)]) + body


@pytest.mark.parametrize("after", [{PINGREQ: 4}, {PUBLISH: 1}])
async def test_a_command_under_an_identifier_that_is_used_again_at_once_is_taken(after):
    """MQTT 4.3.2: the broker has the acknowledgement of the first one, so it is new, whatever its DUP flag says."""
    broker = ReusingBroker(after)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, linked(f"mqtt://127.0.0.1:{port}?version=3.1.1&ping_interval_s=1") as link:
        received = link.messages()
        assert (await asyncio.wait_for(anext(received), 60)).contentdata == broker.COMMAND
        following = asyncio.ensure_future(anext(received))
        await until(lambda: broker.is_acknowledged)
        if PUBLISH in after:
            await link.send(message())
        assert (await asyncio.wait_for(following, 60)).contentdata == broker.COMMAND
    assert broker.connections == 2


@needs_mosquitto
async def test_a_broker_that_has_lost_its_session_begins_anew(tmp_path):
    """Its packet identifiers begin anew, too: the same one with the same content is another message."""
    node = MosquittoNode(tmp_path)
    await node.start_server()
    command = message(1, b'{"command":"tare"}', "application/json")
    command.groupid = ""
    async with (
        Relay(node.server_port) as relay,
        linked(f"mqtt://127.0.0.1:{relay.port}?version=3.1.1") as link,
        linked(
            f"mqtt://127.0.0.1:{node.server_port}?results=iofog/default/gps/commands", IOFOG_MICROSERVICE="o"
        ) as o,
    ):
        await asyncio.gather(link.wait_connected(), o.wait_connected())
        received = link.messages()
        await o.send(command)
        await asyncio.wait_for(anext(received), 60)
        following = asyncio.ensure_future(anext(received))
        await node.stop_server(kill=False)
        for file in tmp_path.glob("*.db"):
            file.unlink()
        await node.start_server()
        await until(lambda: link.connected and o.connected)
        relay.swallow = True
        await o.send(command)
        await until(lambda: relay.swallowed)
        relay.heal()
        relay.drop()
        assert (await asyncio.wait_for(following, 60)).contentdata == b'{"command":"tare"}'
    await node.stop_server(kill=False)


@needs_mosquitto
async def test_a_retained_command_is_not_given_at_every_start(tmp_path, caplog):
    async with mosquitto(tmp_path) as port:
        results = "retain=true&results=iofog/default/gps/commands"
        async with linked(f"mqtt://127.0.0.1:{port}?{results}", IOFOG_MICROSERVICE="operator") as operator:
            await operator.wait_connected()
            await operator.send(message(1, b'{"command":"tare"}', "application/json"))
        assert not await seen(port, "-t", "iofog/default/gps/commands", "-W", "1")  # nor is it retained by us
        await published(port, "iofog/default/gps/commands", '{"command":"open"}', "-r")
        async with linked(f"mqtt://127.0.0.1:{port}") as link:
            await until(lambda: "retained command on iofog/default/gps/commands ignored" in caplog.text)
            await published(port, "iofog/default/gps/commands", '{"command":"tare"}')
            assert (await asyncio.wait_for(anext(link.messages()), 60)).contentdata == b'{"command":"tare"}'


@needs_mosquitto
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_what_is_too_large_is_dropped_and_what_follows_comes(tmp_path, version):
    async with mosquitto(tmp_path) as port:
        (tmp_path / "large").write_bytes(bytes(10_000_000))
        await published(port, "tele/large", None, "-r", "-q", "1", "-f", str(tmp_path / "large"))
        async with linked(f"mqtt://127.0.0.1:{port}?version={version}&receive=tele/%23") as link:
            await link.wait_connected()
            await published(port, "tele/x", "1", "-q", "1")
            assert (await asyncio.wait_for(anext(link.messages()), 60)).contentdata == b"1"
            assert link.connected


async def test_nobody_listening_is_named(caplog):
    port = free_port()
    await failing(f"mqtt://127.0.0.1:{port}", f"127.0.0.1:{port}: Connection refused", caplog)
