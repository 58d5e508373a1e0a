"""Options of the links over NATS and MQTT: what is refused when they are read, and the files they name."""

import ssl

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from iofog_sdk import NodeNotFound, connect
from iofog_sdk.mqtt.options import MqttOptions, parse_mqtt_options
from iofog_sdk.nats.options import NatsOptions, parse_nats_options
from local_agent.service_accounts import Authority

KNOWN = "known: {application}, {microservice}"


@pytest.mark.parametrize(
    ("url", "server", "host", "port"),
    [
        ("//[::1]:4222", "//[::1]:4222", "::1", 4222),
        ("//u:p@[fd00::a%25eth0]:99", "//[fd00::a%25eth0]:99", "fd00::a%25eth0", 99),
        ("//127.0.0.1:1", "//127.0.0.1:1", "127.0.0.1", 1),
        ("//h.example:1/", "//h.example:1", "h.example", 1),
    ],
)
def test_an_ipv6_address_keeps_its_brackets_in_a_url_and_has_none_by_itself(url, server, host, port):
    for scheme in ("nats", "tls"):
        assert parse_nats_options(f"{scheme}:{url}", {}).server == f"{scheme}:{server}"
    for scheme in ("mqtt", "mqtts"):
        found = parse_mqtt_options(f"{scheme}:{url}", {})
        assert (found.server, found.host, found.port) == (f"{scheme}:{server}", host, port)


def test_the_port_of_an_ipv6_address_can_be_the_usual_one():
    assert parse_nats_options("nats://[::1]", {}).server == "nats://[::1]:4222"
    assert parse_mqtt_options("mqtts://[::1]", {}).server == "mqtts://[::1]:8883"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        *[(f"{name}=a.{{app}}", f"{name}='a.{{app}}'") for name in ("subject", "commands", "requests", "receive")],
        ("subject={foo}", f"{KNOWN}, {{quantity}}"),
        ("commands={quantity}", f"'{{quantity}}' has an unknown placeholder; {KNOWN}"),
        ("receive=a.{quantity}", KNOWN),
        ("subject=a.{application", KNOWN),
        ("subject=a.}b", KNOWN),
        ("subject={micro{application}service}", KNOWN),
        *[(f"{name}=", f"{name}='' is not a NATS subject") for name in ("subject", "commands", "requests")],
        *[(f"subject={text}", "is not a NATS subject") for text in (".a", "a.", "a..b", ".", "a%20b")],
        *[(f"receive={text}", "is not a NATS subject") for text in (".a", "a.", "a..b", "a%20b")],
        *[(f"{name}=a.*", f"{name}='a.*': * and >") for name in ("subject", "commands", "requests")],
        ("subject=iofog.>", "are allowed in receive only"),
        ("subject=>", "are allowed in receive only"),
        ("receive=a.>.b", "must be the last word"),
        ("commands=a%00b", "commands='a\\x00b' has characters that cannot be printed"),
        ("subject=a%0Ab", "cannot be printed"),
        *[
            (f"stream={text}", "is not a stream name")
            for text in ("", "a.b", "a%20b", "*", ">", "é", "a/b", "x" * 256)
        ],
    ],
)
def test_nats_subjects_and_names_that_no_server_takes_are_refused(option, words):
    with pytest.raises(NodeNotFound) as caught:
        connect({"IOFOG_LINK": f"nats://h?{option}"})
    assert str(caught.value).startswith(f"IOFOG_LINK=nats://h?(hidden): {option.partition('=')[0]}=")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "option",
    [
        "subject={application}.{microservice}.{quantity}",
        "subject=plant.a{quantity}b",
        "commands=$x.a-b_c.ü",
        "receive=a.*.b.>",
        "receive=>",
        "receive=*",
        "receive=",
        "receive=iofog.readings.{application}.>",
        f"stream={'x' * 255}",
        "stream=A-b_9",
    ],
)
def test_nats_subjects_and_names_that_are_good(option):
    name, _, value = option.partition("=")
    assert getattr(parse_nats_options(f"nats://h?{option}", {}), name) == value


@pytest.mark.parametrize(
    ("option", "words"),
    [
        *[
            (f"{name}=a/{{app}}", f"{name}='a/{{app}}' has an unknown placeholder")
            for name in ("topic", "results", "commands", "status", "receive")
        ],
        ("topic={foo}", f"{KNOWN}, {{quantity}}"),
        *[(f"{name}={{quantity}}", KNOWN) for name in ("results", "commands", "status", "receive")],
        *[
            (f"{name}=a/{wildcard}", "is not an MQTT topic: levels separated by slashes, without + and #")
            for name in ("topic", "results", "commands", "status")
            for wildcard in ("%2B", "%23")
        ],
        *[(f"{name}=", "is not an MQTT topic") for name in ("topic", "results", "commands")],
        *[
            (f"receive={text}", "is not an MQTT topic filter")
            for text in ("%23/a", "a/%23,b/%23/c", "a%2B/b", "a/b%23")
        ],
        ("receive=a,b%2B", "receive='b+' is not an MQTT topic filter"),
        ("topic=a%00b", "cannot be printed"),
    ],
)
def test_mqtt_topics_that_no_broker_takes_are_refused(option, words):
    with pytest.raises(NodeNotFound) as caught:
        connect({"IOFOG_LINK": f"mqtt://h?{option}"})
    assert str(caught.value).startswith(f"IOFOG_LINK=mqtt://h?(hidden): {option.partition('=')[0]}=")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("status=", ""),
        ("receive=", ""),
        ("topic=/a//b c/{quantity}", "/a//b c/{quantity}"),
        ("receive=%23", "#"),
        ("receive=%2B", "+"),
        ("receive=a/%2B/b/%23,c/{microservice},", "a/+/b/#,c/{microservice},"),
        ("receive=$share/g/%2B", "$share/g/+"),
    ],
)
def test_mqtt_topics_that_are_good(option, value):
    assert getattr(parse_mqtt_options(f"mqtt://h?{option}", {}), option.partition("=")[0]) == value


@pytest.mark.parametrize(
    ("variables", "given", "words"),
    [
        ({"IOFOG_LINK": "nats://h"}, "a..b", "IOFOG_LINK=nats://h: IOFOG_RECEIVE='a..b' is not a NATS subject"),
        ({"IOFOG_LINK": "nats://h"}, "a.{app}", "IOFOG_RECEIVE='a.{app}' has an unknown placeholder"),
        ({"IOFOG_LINK": "nats://h"}, "a\n", "IOFOG_RECEIVE='a\\n' is not a NATS subject"),
        ({"IOFOG_LINK": "nats://h"}, "\udc80", "IOFOG_RECEIVE='\\udc80' is not a NATS subject"),
        (
            {"IOFOG_LINK": "mqtt://h"},
            "a/#/b",
            "IOFOG_LINK=mqtt://h: IOFOG_RECEIVE='a/#/b' is not an MQTT topic filter",
        ),
        ({"IOFOG_LINK": "mqtt://h"}, "a\0", "IOFOG_RECEIVE='a\\x00' is not an MQTT topic filter"),
        (
            {"EDGELET_MICROSERVICE_UID": "x", "EDGELET_SERVICE_ACCOUNT": "/"},
            "a..b",
            "IOFOG_RECEIVE='a..b' is not a NATS subject",
        ),
        ({"SELFNAME": "x"}, "a..b", "IOFOG_RECEIVE='a..b' is not a NATS subject"),
        ({"SELFNAME": "x", "NATS_SERVER_URL": "nats://h"}, ".", "NATS_SERVER_URL=nats://h: IOFOG_RECEIVE='.' is no"),
    ],
)
def test_what_is_to_be_received_is_checked_where_the_environment_says_it(variables, given, words):
    with pytest.raises(NodeNotFound) as caught:
        connect(variables | {"IOFOG_RECEIVE": given})
    assert str(caught.value).startswith(words) or f": {words}" in str(caught.value)


def test_what_the_url_says_is_received_in_place_of_what_the_environment_says():
    assert parse_nats_options("nats://h?receive=a", {"IOFOG_RECEIVE": ".."}).receive == "a"
    assert parse_mqtt_options("mqtt://h?receive=", {"IOFOG_RECEIVE": "a"}).receive == ""
    assert parse_mqtt_options("mqtt://h", {"IOFOG_RECEIVE": "a/#"}).receive == "a/#"


@given(st.text(max_size=30))
def test_any_subject_is_checked(text):
    try:
        found = parse_nats_options("nats://h", {"IOFOG_RECEIVE": text}).receive
    except ValueError:
        return
    assert found.encode().decode() == text
    left = text.replace("{application}", "").replace("{microservice}", "")
    assert not set(left) & set(" {}\0\t\r\n")


BOTH = [NatsOptions(server="tls://h:4222"), MqttOptions(server="mqtts://h:8883")]


def replaced(options, **fields):
    return type(options)(**{**vars(options), **fields})


def problem(work):
    """What callers show of it."""
    with pytest.raises(OSError, match=r"\S") as caught:
        work()
    assert not isinstance(caught.value, ssl.SSLError)
    return caught.value.strerror


@pytest.mark.parametrize("options", BOTH, ids=["nats", "mqtt"])
def test_a_password_file_that_gives_none_is_named(tmp_path, options):
    file = tmp_path / "word"
    options = replaced(options, password_file=str(file), user="u")
    assert problem(options.read_password) == f"password_file {file}: No such file or directory"
    file.mkdir()
    assert problem(options.read_password) == f"password_file {file}: Is a directory"
    file.rmdir()
    file.write_bytes(b"\xff\xfe\x00")
    assert problem(options.read_password) == f"password_file {file}: is not UTF-8 text"
    file.write_text("x" * 65_537)
    assert problem(options.read_password) == f"password_file {file}: is larger than 65536 bytes"
    file.write_text("gehéim\n", encoding="utf-8")
    assert options.read_password() == "gehéim"


@pytest.mark.parametrize("options", BOTH, ids=["nats", "mqtt"])
def test_an_authority_s_file_that_holds_none_is_named(tmp_path, options):
    file = tmp_path / "ca.pem"
    options = replaced(options, ca=str(file))
    assert problem(options.tls_context) == f"ca {file}: No such file or directory"
    for content in (b"", b"\0\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        file.write_bytes(content)
        assert problem(options.tls_context) == f"ca {file}: holds no certificate in PEM form"
    file.write_bytes(Authority(tmp_path / "a").certificate.read_bytes())
    assert options.tls_context().get_ca_certs()


def test_the_file_that_keeps_a_client_from_showing_who_it_is_is_named(tmp_path):
    ours, others = (Authority(tmp_path / name) for name in ("ours", "others"))
    chain, other = (tmp_path / name / "server.pem" for name in ("ours", "others"))
    alone, empty = ours.certificate, tmp_path / "empty"
    empty.touch()
    locked = tmp_path / "locked.pem"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    rsa = tmp_path / "rsa.pem"
    rsa.write_bytes(
        generate_private_key(65_537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    no_key = "holds no private key in PEM form, or an encrypted one"
    for certificate, key, words in (
        ("/none", "", "certificate /none: No such file or directory"),
        (tmp_path, chain, f"certificate {tmp_path}: Is a directory"),
        (empty, chain, f"certificate {empty}: holds no certificate in PEM form"),
        (alone, "", f"certificate {alone}: {no_key}"),
        (chain, "/none", "key /none: No such file or directory"),
        (chain, empty, f"key {empty}: {no_key}"),
        (chain, locked, f"key {locked}: {no_key}"),
        (chain, rsa, f"key {rsa}: its key does not match the certificate in {chain}"),
        (chain, other, f"key {other}: its key does not match the certificate in {chain}"),
    ):
        options = replaced(BOTH[1], certificate=str(certificate), key=str(key))
        assert problem(options.tls_context) == words
    for key in ("", str(chain)):
        assert replaced(BOTH[1], ca=str(others.certificate), certificate=str(chain), key=key).tls_context()


def test_without_tls_no_file_is_read():
    assert MqttOptions(ca="/none").tls_context() is None
    assert NatsOptions(server="nats://h:1").tls_context() is None


def test_a_folder_of_credentials_that_cannot_be_looked_for_is_named():
    with pytest.raises(NodeNotFound, match=r"^EDGELET_SERVICE_ACCOUNT: File name too long"):
        connect({"EDGELET_MICROSERVICE_UID": "x", "EDGELET_SERVICE_ACCOUNT": "/x" * 3000})
