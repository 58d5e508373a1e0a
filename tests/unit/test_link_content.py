"""What a link cannot carry is given up by name, before it can end a connection; what it receives is bounded."""

import asyncio
import contextlib
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.msg import Msg

from iofog_sdk import IoMessage, MessageError
from iofog_sdk.agent.message_socket import check_for_socket
from iofog_sdk.links.inbox import MAX_BYTES, MAX_MESSAGES, Inbox
from iofog_sdk.messages.iomessage import MessageTemplate
from iofog_sdk.mqtt.messages import DuplicateFilter, Publication, check_publication
from iofog_sdk.nats.messages import (
    MAX_HEADER_BYTES,
    check_subject,
    command_id,
    decode_message,
    encode_headers,
    header_size,
    stored_as,
)
from iofog_sdk.nats.streams import covers


def is_text(value):
    return isinstance(value, str)


texts = st.text(max_size=40)
numbers = st.integers(0, 2**31 - 1)


@pytest.mark.parametrize("text", ["a\u0085b", "a\ufffe", "a\x00", "a\x1f", "\ud800", "\U0001ffff", "\ufdd0"])
def test_characters_over_which_mqtt_brokers_end_connections_are_refused(text):
    with pytest.raises(MessageError, match=r"U\+"):
        check_publication(Publication(f"x/{text}", b""), 2048, 0)
    with pytest.raises(MessageError, match=r"U\+"):
        check_publication(Publication("x", b"", user_properties=(("iofog-tag", text),)), 2048, 0)


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a" * 3000])
def test_topics_that_are_none_are_refused(topic):
    with pytest.raises(MessageError):
        check_publication(Publication(topic, b""), 2048, 0)


def test_usual_topics_pass():
    for topic in ("iofog/default/gps/readings", "Küche/Temperatur", "a/°C", "日本"):
        check_publication(Publication(topic, b"", content_type="application/json"), 2048, 0)


@pytest.mark.parametrize("subject", ["a b", "a..b", "", "a.\u0085", "a.\n", "x" * 2000])
def test_subjects_over_which_nats_servers_end_connections_are_refused(subject):
    with pytest.raises(MessageError):
        check_subject(subject)


@pytest.mark.parametrize("field", ["infotype", "tag", "groupid", "authid", "hash", "nonce"])
@pytest.mark.parametrize("text", ["a\nb", "\x85", " a", "a\r\nioFog-tag: for:other"])
def test_text_that_no_nats_header_can_hold_is_refused_by_name(field, text):
    with pytest.raises(MessageError, match=field):
        encode_headers(IoMessage(**{field: text}))


def test_headers_are_bounded():
    with pytest.raises(MessageError, match=str(MAX_HEADER_BYTES)):
        encode_headers(IoMessage(tag="x" * 30_000, authid="x" * 30_000))
    headers = encode_headers(IoMessage(tag="ü" * 100, infotype="x"))
    written = "NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    assert header_size(headers) >= len(written.encode())


@given(
    st.builds(
        IoMessage,
        **dict.fromkeys(("groupid", "infotype", "infoformat", "publisher", "tag", "authid", "authgroup"), texts),
        **dict.fromkeys(("hash", "previoushash", "nonce"), texts),
        **dict.fromkeys(("sequencenumber", "sequencetotal", "difficultytarget"), numbers),
        priority=st.integers(0, 127),
        chainposition=st.integers(0, 2**63 - 1),
        contextdata=st.binary(max_size=50),
        contentdata=st.binary(max_size=50),
    )
)
def test_every_field_travels_over_nats_or_is_refused_by_name(message):
    fits = all(
        text.isprintable() and text == text.strip() for text in msgspec.structs.astuple(message) if is_text(text)
    )
    with contextlib.nullcontext() if fits else pytest.raises(MessageError):
        headers = encode_headers(message)
    if not fits:
        return
    received = decode_message(NatsMessage(message.contentdata, headers))
    received.id, received.timestamp = message.id, message.timestamp
    assert received == message


class NatsMessage:
    """A received one; `stored` is its number in a stream."""

    def __init__(self, data=b"", headers=None, stored=None):
        self.data, self.headers = data, headers
        self.reply = f"$JS.ACK.S.device.1.{stored}.9.1795000000000000000.0" if stored else ""


def test_a_command_without_an_id_has_the_same_one_at_each_delivery():
    first, again, other = (decode_message(NatsMessage(b"x", None, number)).id for number in (5, 5, 6))
    assert first == again != other
    assert decode_message(NatsMessage(b"x")).id != decode_message(NatsMessage(b"x")).id


@pytest.mark.parametrize("reply", ["$JS.ACK.{}", "$JS.ACK._.hash.{}", "$JS.ACK.domain.hash.{}.token"])
@pytest.mark.parametrize("at", [1_795_000_000.25, 2**31 + 0.25, 2**32 + 0.25])
def test_a_stored_message_has_its_number_and_time_also_after_2038(monkeypatch, reply, at):
    """nats-py makes a datetime, which raises OverflowError where the C library's times end in 2038."""
    monkeypatch.delattr("nats.aio.msg.Msg.metadata")
    received = Msg(None, data=b"x", reply=reply.format(f"S.device.1.7.9.{round(at * 1e9)}.0"))
    assert stored_as(received) == 7
    message = decode_message(received)
    assert (message.id, message.timestamp) == (f"S.7.{at:.6f}", round(at * 1000))


def test_a_request_is_not_stored():
    received = Msg(None, data=b"x", reply="_INBOX.a.b")
    assert stored_as(received) == 0
    assert decode_message(received).timestamp > 1_795_000_000_000


@pytest.mark.parametrize("content", [b'{"id": "\xff"}', b'{"id": ' + b"[" * 100_000, b"\xff", b'{"id": {}}'])
def test_content_that_is_no_json_is_known_by_the_id_of_its_message(content):
    assert command_id(IoMessage(id="m", contentdata=content)) == "m"


@given(texts)
def test_what_the_agent_would_corrupt_is_refused(text):
    with contextlib.suppress(MessageError):
        body = MessageTemplate(IoMessage(infotype="x", tag=text)).encode(300, "ä".encode())
        if text.isascii():
            check_for_socket(body)
        else:
            with pytest.raises(MessageError, match="tag"):
                check_for_socket(body)


@pytest.mark.parametrize("body", [b"", b"x", bytes(33), b"\x00\x04" + bytes(31) + b"rest"])
def test_a_body_that_is_none_is_an_error_that_says_so_or_no_text(body):
    with contextlib.suppress(MessageError):
        check_for_socket(body)


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("iofog.commands.>", "iofog.commands.a.b", True),
        ("iofog.commands.>", "iofog.commands", False),
        ("a.*.c", "a.b.c", True),
        ("a.*", "a.b.c", False),
        (">", "a.b", True),
        ("a.b", "a.b", True),
    ],
)
def test_subjects_with_wildcards(pattern, subject, expected):
    assert covers(pattern, subject) is expected


def test_an_inbox_that_is_not_read_keeps_the_newest_and_counts():
    inbox = Inbox()
    for number in range(MAX_MESSAGES + 200):
        inbox.push(IoMessage(sequencenumber=number))
    assert (len(inbox), inbox.dropped) == (MAX_MESSAGES, 200)
    large = bytes(MAX_BYTES // 4)
    for _ in range(20):
        inbox.push(IoMessage(contentdata=large))
    assert len(inbox) <= 4


async def test_messages_are_acknowledged_when_the_next_one_is_asked_for():
    inbox, acknowledged = Inbox(), []
    for number in range(3):
        inbox.put(IoMessage(sequencenumber=number), lambda number=number: acknowledged.append(number))
    messages = inbox.messages()
    await anext(messages)
    assert acknowledged == []
    await anext(messages)
    assert acknowledged == [0]
    assert await asyncio.wait_for(anext(messages), 60)
    assert acknowledged == [0, 1]


def mqtt(mid, payload=b"on", *, dup=False):
    return SimpleNamespace(mid=mid, topic="t", payload=payload, dup=dup)


class Connection:
    """Takes what is new, in order; answers at its own times."""

    def __init__(self, known, *, session_present=True):
        self.known, self.up, self.now, self.answers = known, True, 0.0, 0
        known.reconnected(session_present=session_present)

    def receive(self, message):
        return self.known.begin(message, self._answer)

    def _answer(self):
        self.answers += self.up
        self.now += 1
        return self.now if self.up else None


def test_a_packet_identifier_that_the_broker_uses_again_is_another_message():
    known = DuplicateFilter(keeps_unprocessed=True)
    first = Connection(known)
    first.receive(mqtt(1))()
    known.confirm(before=10.0)  # the broker has answered what was sent after it
    second = Connection(known)
    assert second.receive(mqtt(1, dup=True)) is not None, "its first sending was lost with the connection"


def test_a_message_that_is_being_processed_is_acknowledged_on_the_connection_it_came_on_again():
    known = DuplicateFilter(keeps_unprocessed=True)
    first = Connection(known)
    finish = first.receive(mqtt(1))
    first.up = False
    second = Connection(known)
    assert second.receive(mqtt(1, dup=True)) is None
    finish()
    assert (first.answers, second.answers) == (0, 1)


def test_a_message_that_was_processed_after_its_connection_was_lost_is_not_taken_again():
    known = DuplicateFilter(keeps_unprocessed=True)
    first = Connection(known)
    finish = first.receive(mqtt(1))
    first.up = False
    finish()
    second = Connection(known)
    assert second.receive(mqtt(1, dup=True)) is None
    assert second.answers == 1, "or the broker repeats it for ever"
    assert second.receive(mqtt(1)) is not None


def test_a_broker_without_the_session_repeats_nothing():
    known = DuplicateFilter(keeps_unprocessed=True)
    first = Connection(known)
    finish = first.receive(mqtt(1))
    first.up = False
    second = Connection(known, session_present=False)
    taken = second.receive(mqtt(1))
    assert taken is not None
    finish()
    third = Connection(known)
    assert third.receive(mqtt(1, dup=True)) is None, "the second one is still being processed"


def test_what_was_left_is_new_when_it_comes_again():
    known = DuplicateFilter(keeps_unprocessed=True)
    first = Connection(known)
    message = mqtt(1)
    first.receive(message)
    known.leave(message)
    assert Connection(known).receive(mqtt(1, dup=True)) is not None
