"""Parts of the links over NATS and MQTT that do no I/O: keys, names, options, packs, acknowledgements in order."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge.messages import senml
from iofog_sdk import NodeNotFound, connect
from iofog_sdk.errors import ConnectionLost, ReceiptTimeout
from iofog_sdk.links.identity import read_identity
from iofog_sdk.links.in_flight import InFlight
from iofog_sdk.links.inbox import Inbox
from iofog_sdk.links.receipts import Receipt
from iofog_sdk.links.url import Number, parse_url
from iofog_sdk.messages.iomessage import IoMessage
from iofog_sdk.messages.senml import split_by_quantity
from iofog_sdk.nats.credentials import CredentialsError, decode_seed, read_credentials, sign
from iofog_sdk.nats.messages import command_id
from iofog_sdk.nats.publisher import NatsPublisher
from iofog_sdk.redact import redact_url

RFC_8032 = [  # section 7.1, tests 1 and 3
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("seed", "message", "signature"), RFC_8032)
def test_signatures_are_those_of_the_standard(seed, message, signature):
    assert sign(bytes.fromhex(seed), bytes.fromhex(message)).hex() == signature


SEED = "SUAMLK2ZNL35WSMW37E7UD4VZ7ELPKW7DHC3BWBSD2GCZ7IUQQXZIORRBU"


def test_a_seed_is_checked():
    assert len(decode_seed(SEED)) == 32
    for wrong, words in (
        (SEED[:-1] + "A", "damaged"),
        ("x!", "base32"),
        ("", "damaged"),
        (SEED[:-4], "base32"),
        (SEED[:-8], "damaged"),
    ):
        with pytest.raises(CredentialsError, match=words):
            decode_seed(wrong)


@given(st.text(max_size=100))
def test_any_text_is_a_seed_or_refused(text):
    with pytest.raises(CredentialsError):
        decode_seed(text)


def test_credentials_are_read_and_never_shown(tmp_path):
    file = tmp_path / "x.creds"
    file.write_text(
        f"-----BEGIN NATS USER JWT-----\nabc.def.ghi\n------END NATS USER JWT------\n***\n"
        f"-----BEGIN USER NKEY SEED-----\n{SEED}\n------END USER NKEY SEED------\n"
    )
    found = read_credentials(file)
    assert found.jwt == "abc.def.ghi"
    assert "abc" not in repr(found)
    with pytest.raises(CredentialsError, match="No such file"):
        read_credentials(tmp_path / "none")
    file.write_text(file.read_text() + "#" * 65_536)
    with pytest.raises(CredentialsError, match="is larger than 65536 bytes"):
        read_credentials(file)


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({"EDGELET_APPLICATION_NAME": "cold", "EDGELET_MICROSERVICE_NAME": "gps"}, ("cold", "gps")),
        ({"NATS_CREDS_PATH": "/etc/nats/creds/cold-room/gps.creds"}, ("cold-room", "gps")),
        ({"SELFNAME": "0123-ab"}, ("default", "0123-ab")),
        ({"IOFOG_APPLICATION": "a b.c>", "IOFOG_MICROSERVICE": "x/y"}, ("a-b-c", "x-y")),
        ({"IOFOG_APPLICATION": "ü", "IOFOG_MICROSERVICE": "g"}, ("unnamed", "g")),
    ],
)
def test_names_are_those_the_node_gives_and_safe_in_subjects(variables, names):
    assert read_identity(variables)[:2] == names


PACK = b'[{"bn":"truck:","bt":10,"bu":"m","n":"a","v":1},{"n":"b","u":"V","v":2},{"n":"a","v":3,"t":1}]'


def test_each_pack_of_a_split_one_stands_by_itself():
    packs = split_by_quantity(PACK)
    assert list(packs) == ["a", "b"]
    together = [reading for pack in packs.values() for reading in senml.decode(pack)]
    assert sorted(map(repr, together)) == sorted(map(repr, senml.decode(PACK)))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"[1]", b"\xff", PACK[:-1]])
def test_what_is_no_pack_stays_whole(content):
    assert split_by_quantity(content) == {"": content}


@given(st.binary(max_size=200))
def test_any_content_is_split_or_stays_whole(content):
    assert split_by_quantity(content)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=5))
def test_names_of_quantities_are_safe_in_subjects_and_topics(names):
    pack = json.dumps([{"n": name, "v": 1} for name in names]).encode()
    assert not any(set(name) & set(" .*>+#/") for name in split_by_quantity(pack))


@given(st.permutations(range(6)))
def test_ends_are_reported_in_the_order_of_sending(order):
    told = []
    in_flight = InFlight(10)
    sent = [in_flight.add(str(n), lambda outcome: told.append(outcome.id)) for n in range(6)]
    for n in order:
        in_flight.acknowledge(sent[n])
    assert told == [str(n) for n in range(6)]
    assert len(in_flight) == 0


def test_a_loss_ends_everything_that_has_no_acknowledgement():
    told = []
    in_flight = InFlight(10)
    first, _, third = (in_flight.add(str(n), told.append) for n in range(3))
    in_flight.acknowledge(first)
    in_flight.acknowledge(third)
    in_flight.fail(ConnectionLost("gone"))
    in_flight.acknowledge(third)
    assert [type(outcome) for outcome in told] == [Receipt, ConnectionLost, ConnectionLost]


def test_the_oldest_one_waits_for_so_long_and_no_longer():
    now = [0.0]
    in_flight = InFlight(2, lambda: now[0])
    in_flight.add("1", lambda _: None)
    now[0] = 2.0
    assert in_flight.timeout_error() is None
    now[0] = 2.1
    assert isinstance(in_flight.timeout_error(), ReceiptTimeout)


async def test_an_inbox_is_bounded_and_tells_what_was_taken():
    inbox, taken = Inbox(), []
    count = 0
    while inbox.put(IoMessage(id=str(count)), lambda: taken.append(1)):
        count += 1
    assert count == 1000
    assert not taken
    messages = inbox.messages()
    assert ((await anext(messages)).id, len(taken)) == ("0", 0)
    assert ((await anext(messages)).id, len(taken)) == ("1", 1)


NO_HOSTS = ["\udcff", "a..b", "x" * 64, "x." * 200, "ü" * 60]
"""What a resolver refuses with an error that is not one of connections."""


@pytest.mark.parametrize("host", NO_HOSTS)
def test_a_url_of_no_host_is_refused_at_the_start(host):
    with pytest.raises(ValueError, match="its host is neither a name nor an address"):
        parse_url(f"nats://{host}", {"nats": 4222}, {})


@pytest.mark.parametrize("host", ["h", "h.", "127.0.0.1", "[fe80::1%eth0]", "bücher.example", "my_broker", "x" * 63])
def test_hosts(host):
    assert parse_url(f"nats://{host}", {"nats": 4222}, {}).host == host.strip("[]")


@given(st.text(max_size=60))
def test_any_url_is_read_or_refused(text):
    try:
        found = parse_url(text, {"nats": 4222}, {"window": Number(int, 1, 9)})
    except ValueError:
        return
    assert found.host


@pytest.mark.parametrize("given", [":1", "h:x", "h:0", "h:99999", "a..b", "x" * 64])
@pytest.mark.parametrize(
    "variables", [{"SELFNAME": "x", "IOFOG_AGENT": ""}, {"EDGELET_MICROSERVICE_UID": "x", "EDGELET_API": ""}]
)
def test_a_wrong_address_of_a_node_is_named(variables, given):
    name = list(variables)[1]
    with pytest.raises(NodeNotFound, match=f"{name}={given}: write host or host:port"):
        connect(variables | {name: given})


def test_a_node_with_an_agent_pays_for_no_other_link():
    """Libraries for NATS, MQTT and credentials cost memory on a small board."""
    code = (
        "import sys, gps_receiver.service; from iofog_sdk import connect; connect({'SELFNAME': 'x'}); "
        "print(*{'nats', 'paho', 'ctypes', 'iofog_sdk.edgelet.control'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("command", "result", "identity"),
    [
        ('{"id": "c1"}', '{"id": "c1"}', "c1"),
        ('{"id": 5}', '{"id": "5"}', "5"),
        ('{"id": 0}', '{"id": "0"}', "0"),
        ('{"id": -123456789012345678901}', '{"id": "-123456789012345678901"}', "-123456789012345678901"),
        ("{}", '{"id": "m"}', "m"),
        ('{"id": 5.5}', '{"id": "m"}', "m"),
        ("[]", '{"id": "m"}', "m"),
        ('{"deep":' + "[" * 100_000, '{"id": "m"}', "m"),
        ('{"id": "\xff"}', '{"id": "m"}', "m"),
    ],
)
def test_a_result_is_matched_by_the_number_or_text_of_its_command(command, result, identity):
    asked = IoMessage(id="m", contentdata=command.encode("latin-1"))
    assert command_id(asked) == command_id(IoMessage(id="other", contentdata=result.encode())) == identity


@pytest.mark.parametrize("reply", [b"", b"{", b'{"error":{"a":"\xff"}}', b'{"stream":' + b"[" * 100_000], ids=len)
async def test_an_acknowledgement_that_is_none_is_an_error_of_its_publication(reply):
    errors, done = [], []

    async def subscribe(_, cb):
        client.answer = cb

    async def publish(_, content, reply_subject, headers):
        await client.answer(SimpleNamespace(subject=reply_subject, headers=None, data=reply))

    client = SimpleNamespace(new_inbox=lambda: "inbox", subscribe=subscribe, publish=publish)
    publisher = NatsPublisher(client, errors.append)
    await publisher.open()
    await publisher.publish("subject", b"content", {}, done.append)
    assert (len(errors), done) == (1, [])


def test_a_secret_is_not_part_of_what_is_shown():
    found = parse_url("nats://u%40x:p%2Fw@h?window=3", {"nats": 4222}, {"window": Number(int, 1, 9)})
    assert (found.user, found.password, found.server, found.options) == ("u@x", "p/w", "nats://h:4222", {"window": 3})
    assert redact_url("nats://u:secret@h?x=1") == "nats://(hidden)@h?(hidden)"


@pytest.mark.parametrize(
    "url",
    [
        "nats://u:sec/ret@h",
        "nats://u:12/secret@h",
        "nats://u:sec@ret@h:port",
        "nats://u:sec#ret@h",
        "nats://u:42#secret@h",
        "nats://u:42?secret@h",
        "nats://u:secret@[::1",
        "nats://u:secret@h:port",
        "mqtt://u:sec?ret@h",
    ],
)
def test_a_secret_that_breaks_a_url_is_not_shown_either(url):
    with pytest.raises(NodeNotFound, match=r"IOFOG_LINK=(nats|mqtt)://\(hidden\)@") as caught:
        connect({"IOFOG_LINK": url})
    assert not [part for part in ("sec", "ret", "12") if part in str(caught.value)]
