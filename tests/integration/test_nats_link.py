"""NATS: what others see, commands by request and by consumer, and what is said when something is not allowed."""

import asyncio
import base64
import binascii
import contextlib
import json
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from iofog_sdk import IoMessage, MessageError, NodeNotFound, connect
from iofog_sdk.nats.link import NatsLink
from iofog_sdk.nats.options import parse_nats_options
from local_agent.nats_server import NatsServer
from pytest_simulated_devices import Relay

from .conftest import Steps, until

PACK = b'[{"bn":"truck:","bt":1.5,"n":"speed","u":"m/s","v":2},{"n":"course","u":"deg","v":90}]'


def message(number=1, content=PACK, kind="application/senml+json"):
    return IoMessage(groupid="run", sequencenumber=number, infotype=kind, infoformat="utf-8", contentdata=content)


@pytest.fixture
async def server(tmp_path):
    async with NatsServer(tmp_path / "nats") as running:
        yield running


@contextlib.asynccontextmanager
async def linked(url, **variables):
    link = connect({"IOFOG_LINK": url, "IOFOG_MICROSERVICE": "gps"} | variables)
    link._backoff._initial_s = link._backoff._max_s = 0.05
    async with link:
        yield link


class PlainClient:
    """An independent client: the protocol's own text, over a socket."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        writer.write(b'CONNECT {"verbose":false,"headers":true}\r\n')
        yield cls(reader, writer)
        writer.close()

    async def say(self, text):
        self._writer.write(text + b"\r\nPING\r\n")
        while await self._line() != b"PONG":
            pass

    async def message(self):
        """Subject, headers as they stand, and payload."""
        while True:
            words = (await self._line()).split()
            if words[:1] in ([b"MSG"], [b"HMSG"]):
                data = await asyncio.wait_for(self._reader.readexactly(int(words[-1]) + 2), 60)
                head = int(words[-2]) if words[0] == b"HMSG" else 0
                return words[1].decode(), data[:head].decode(), data[head:-2]

    async def _line(self):
        return (await asyncio.wait_for(self._reader.readline(), 60)).strip()


async def test_an_independent_client_sees_subject_headers_and_content(server):
    async with PlainClient.connected(server.port) as other, linked(server.url) as link:
        await other.say(b"SUB iofog.readings.> 1")
        await link.wait_connected()
        await link.send(message(7))
        subject, headers, content = await other.message()
    assert subject == "iofog.readings.default.gps"
    assert content == PACK
    told = dict(line.split(": ") for line in headers.splitlines() if ": " in line)
    assert (told["ioFog-groupid"], told["ioFog-sequencenumber"], told["Nats-Msg-Id"]) == ("run", "7", "run.7")
    assert told["ioFog-infotype"] == "application/senml+json"


async def test_each_quantity_has_a_subject_of_its_own_if_wanted(server):
    url = f"{server.url}?subject=iofog.readings.{{application}}.{{microservice}}.{{quantity}}"
    async with PlainClient.connected(server.port) as other, linked(url) as link:
        await other.say(b"SUB iofog.readings.> 1")
        await link.wait_connected()
        await link.send(message())
        seen = [await other.message() for _ in range(2)]
    packs = {subject.rsplit(".", 1)[1]: json.loads(content) for subject, _, content in seen}
    assert packs["speed"] == [{"bn": "truck:", "bt": 1.5, "n": "speed", "u": "m/s", "v": 2}]
    assert packs["course"] == [{"bn": "truck:", "bt": 1.5, "n": "course", "u": "deg", "v": 90}]


async def test_what_is_sent_twice_is_kept_once(server):
    async with (
        linked(server.url) as link,
        linked(f"{server.url}?receive=iofog.readings.>", IOFOG_MICROSERVICE="v") as end,
    ):
        await asyncio.gather(link.wait_connected(), end.wait_connected())
        for number in (1, 2, 2, 1, 3):
            await link.send(message(number))
        received = end.messages()
        numbers = [(await asyncio.wait_for(anext(received), 60)).sequencenumber for _ in range(3)]
    assert numbers == [1, 2, 3]


async def test_commands_wait_while_the_microservice_is_away(server):
    async with linked(server.url) as link:
        await link.wait_connected()
    async with linked(f"{server.url}?subject=iofog.commands.default.gps", IOFOG_MICROSERVICE="operator") as operator:
        await operator.wait_connected()
        await operator.send(message(1, b'{"command":"tare"}', "application/json"))
    async with linked(server.url) as link:
        told = await asyncio.wait_for(anext(link.messages()), 60)
    assert told.contentdata == b'{"command":"tare"}'
    assert abs(time.time() - told.timestamp / 1000) < 30  # when it was given: old commands are refused by that


async def test_a_request_is_answered_by_the_result_that_names_it(server):
    async with PlainClient.connected(server.port) as other, linked(server.url) as link:
        await other.say(b"SUB answer 1")
        await link.wait_connected()
        command = b'{"command":"tare","id":"c1"}'
        await other.say(b"PUB iofog.requests.default.gps answer %d\r\n%b" % (len(command), command))
        told = await asyncio.wait_for(anext(link.messages()), 60)
        assert told.contentdata == command
        await link.send(message(1, b'{"command":"tare","id":"c1","ok":true}', "application/json"))
        subject, _, content = await other.message()
    assert (subject, json.loads(content)["ok"]) == ("answer", True)


def user(**permissions):
    allow = ["$JS.API.>", "$JS.ACK.>", "_INBOX.>"]
    return {
        "user": "bridge",
        "password": "secret",
        "permissions": {
            "publish": [*allow, *permissions.get("publish", ["iofog.>"])],
            "subscribe": ["_INBOX.>", "iofog.>"],
        },
    }


async def failing(url, text, caplog, **variables):
    """One clear line for what is wrong, however often it is tried again."""
    async with linked(url, **variables) as link:
        link._backoff = steps = Steps()
        await until(lambda: text in caplog.text and len(steps.taken) > 3)
        assert not link.connected
        assert text in str(link.last_error)
    assert caplog.text.count(text) == 1
    assert "secret" not in caplog.text


async def test_a_wrong_password_is_said_and_a_right_one_taken_when_it_comes(tmp_path, caplog):
    word = tmp_path / "password"
    word.write_text("wrong")
    async with NatsServer(tmp_path / "nats", {"authorization": {"users": [user()]}}) as server:
        url = f"nats://bridge@127.0.0.1:{server.port}?password_file={word}"
        await failing(url, "refuses user bridge; check user, password", caplog)
        async with linked(url) as link:
            await until(lambda: link.last_error)
            word.write_text("secret\n")
            await asyncio.wait_for(link.wait_connected(), 60)
        await failing(f"nats://127.0.0.1:{server.port}", "refuses user (none)", caplog)


async def test_a_subject_that_is_not_allowed_is_named(tmp_path, caplog):
    settings = {"authorization": {"users": [user(publish=["iofog.other.>"])]}}
    async with NatsServer(tmp_path / "nats", settings) as server:
        async with linked(f"nats://bridge:secret@127.0.0.1:{server.port}") as link:
            await asyncio.wait_for(link.wait_connected(), 60)
            with pytest.raises(ConnectionError, match=r"readings\.default\.gps.*give this user the permission"):
                await link.send(message())
    assert "secret" not in caplog.text


async def test_a_stream_that_cannot_be_made_is_said(tmp_path, caplog):
    settings = {"jetstream": {"store_dir": str(tmp_path / "s"), "max_file_store": 1 << 20}}
    async with NatsServer(tmp_path / "nats", settings) as server:
        await failing(server.url, "NATS stream IOFOG answered", caplog)


async def test_a_message_that_is_too_large_is_given_up_and_no_other(tmp_path):
    async with NatsServer(tmp_path / "nats", {"max_payload": 20_000}) as server, linked(server.url) as link:
        await link.wait_connected()
        large = asyncio.ensure_future(link.send(message(1, bytes(20_000))))
        await link.send(message(2))
        with pytest.raises(MessageError, match="at most 19804 bytes can be sent to this NATS server, got 20000"):
            await large
        assert link.connected


async def test_a_connection_that_carries_is_taken_up_at_once_and_one_that_does_not_backs_off(server):
    steps = Steps()
    async with Relay(server.port) as relay:
        link = NatsLink(parse_nats_options(f"nats://127.0.0.1:{relay.port}", {}), backoff=steps)
        async with link:
            for number, sends in enumerate((True, True, True, False, False, False)):
                await link.wait_connected()
                if sends:
                    await link.send(message(number))
                taken = len(steps.taken)
                relay.drop()
                await until(lambda taken=taken: len(steps.taken) > taken)
    assert steps.taken[:6] == [1, 1, 1, 2, 4, 8]


async def test_nobody_listening_is_named(unused_tcp_port, caplog):
    await failing(f"nats://127.0.0.1:{unused_tcp_port}", f"127.0.0.1:{unused_tcp_port}: Connect call failed", caplog)


def encoded(prefix, raw):
    data = bytes(prefix) + raw
    data += binascii.crc_hqx(data, 0).to_bytes(2, "little")
    return base64.b32encode(data).rstrip(b"=").decode()


class Key:
    """A key of NATS: operator, account or user."""

    def __init__(self, kind):
        self._key, self._kind = Ed25519PrivateKey.generate(), kind
        public = self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.public = encoded([kind << 3], public)

    @property
    def seed(self):
        raw = self._key.private_bytes(
            serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
        )
        kind = self._kind << 3
        return encoded([(18 << 3) | (kind >> 5), (kind & 31) << 3], raw)

    def signed(self, subject, kind, **claims):
        def part(value):
            return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

        body = {"jti": subject, "iat": 1, "iss": self.public, "sub": subject, "name": kind}
        body["nats"] = {"type": kind, "version": 2, **claims}
        text = part({"typ": "JWT", "alg": "ed25519-nkey"}) + b"." + part(body)
        return (text + b"." + base64.urlsafe_b64encode(self._key.sign(text)).rstrip(b"=")).decode()


async def test_a_credentials_file_is_what_newer_nodes_mount(tmp_path, caplog):
    operator, system, account, someone, other = Key(14), Key(0), Key(0), Key(20), Key(20)
    names = ("mem_storage", "disk_storage", "streams", "consumer", "conn", "subs", "payload", "data", "leaf")
    unlimited = {**dict.fromkeys((*names, "imports", "exports"), -1), "wildcards": True}
    settings = {
        "operator": operator.signed(operator.public, "operator"),
        "system_account": system.public,
        "resolver": "MEMORY",
        "resolver_preload": {
            account.public: operator.signed(account.public, "account", limits=unlimited),
            system.public: operator.signed(system.public, "account"),
        },
    }
    token = account.signed(someone.public, "user", subs=-1, data=-1, payload=-1)
    creds = tmp_path / "creds" / "trucks" / "gps.creds"
    creds.parent.mkdir(parents=True)

    def write(key):
        creds.write_text(
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{key.seed}\n------END USER NKEY SEED------\n"
        )

    write(other)
    async with NatsServer(tmp_path / "nats", settings) as server:
        variables = {"NATS_CREDS_PATH": str(creds), "IOFOG_MICROSERVICE": ""}
        async with linked(server.url, **variables) as link:
            await until(lambda: f"refuses credentials {creds}" in caplog.text)
            write(someone)
            await asyncio.wait_for(link.wait_connected(), 60)
            await link.send(message())
            assert link.description.endswith("iofog.readings.trucks.gps")
        creds.write_text("nothing")
        await failing(server.url, "NATS USER JWT or USER NKEY SEED is missing", caplog, **variables)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nats://h?windw=3", "unknown option windw; known: subject"),
        ("nats://h?window=0", "window=0: 1 to 4000"),
        ("nats://h?window=many", "window=many: a number from 1 to 4000"),
        ("nats://h?subject=a%20b", "subject='a b' is not a NATS subject"),
        ("nats://h/path", "write nats://host:4222"),
        ("mqtt://h?qos=3", "qos=3: 0 to 2"),
        ("mqtt://h?version=4", "version=4: write 5 or 3.1.1"),
        ("mqtt://h?topic=a/%2B", "topic='a/\\+' is not an MQTT topic"),
        ("nats://u:secret@h?x=1", r"nats://\(hidden\)@h\?\(hidden\): unknown option"),
    ],
)
def test_wrong_options_are_named_with_the_remedy_and_no_secret(url, words):
    with pytest.raises(NodeNotFound, match=words) as caught:
        connect({"IOFOG_LINK": url})
    assert "secret" not in str(caught.value)
