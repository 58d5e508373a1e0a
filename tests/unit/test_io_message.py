"""IoMessage: golden vectors of the real implementations, limits, and arbitrary input."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from iofog_sdk import IoMessage, MessageError, MessageTemplate
from iofog_sdk.http import frames
from local_agent.sessions import RECEIPT

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "iomessage_v4.json").read_text())
MESSAGES = [v for v in VECTORS if v["kind"] == "iomessage"]


def by_name(vector):
    return vector["name"]


@pytest.mark.parametrize("vector", MESSAGES, ids=by_name)
def test_golden_vectors_both_ways(vector):
    raw = bytes.fromhex(vector["hex"])
    message = IoMessage.from_json(vector["message"])
    assert message.to_bytes() == raw
    assert IoMessage.from_bytes(raw) == message
    assert message.to_json() == vector["message"]


@pytest.mark.parametrize("vector", MESSAGES, ids=by_name)
def test_other_integer_and_zero_styles_decode_to_the_same_message(vector):
    expected = IoMessage.from_json(vector["message"])
    readable = [v for v in vector["variants"] if v["java_agent_decodes_to_same_message"]]
    for variant in readable:
        assert IoMessage.from_bytes(bytes.fromhex(variant["hex"])) == expected, variant["impl"]


def test_msg_frame_vector():
    vector = next(v for v in VECTORS if v["kind"] == "msg_frame")
    raw = bytes.fromhex(vector["hex"])
    message = IoMessage.from_json(vector["message"])
    assert frames.msg_frame(message.to_bytes()) == raw
    assert IoMessage.from_bytes(frames.msg_body(raw)) == message
    assert frames.msg_body(raw + b"ignored") == frames.msg_body(raw)


def test_receipt_vector():
    vector = next(v for v in VECTORS if v["kind"] == "receipt_frame")
    raw = bytes.fromhex(vector["hex"])
    receipt = frames.read_receipt(raw)
    assert receipt == frames.Receipt(vector["message"]["id"], vector["message"]["timestamp"])
    assert RECEIPT.pack(frames.RECEIPT, 32, 8, receipt.id.encode(), receipt.timestamp) == raw


@pytest.mark.parametrize("width", range(9))
def test_integers_of_any_width_decode(width):
    value = int.from_bytes(b"\x01" * width, "big")
    lengths = bytearray(33)
    lengths[1], lengths[15] = 4, width
    assert IoMessage.from_bytes(bytes(lengths) + b"\x01" * width).chainposition == value


def test_an_integer_of_nine_bytes_is_an_error():
    lengths = bytearray(33)
    lengths[1], lengths[9] = 4, 9
    with pytest.raises(MessageError, match="timestamp"):
        IoMessage.from_bytes(bytes(lengths) + bytes(9))


SHORT = ["id", "groupid", "publisher", "infotype", "infoformat"]
LONG = ["tag", "authid", "authgroup", "hash", "previoushash", "nonce"]
LIMITS = [
    *((name, "x" * 127, "x" * 128, "127") for name in SHORT),
    *((name, "é" * 63, "é" * 64, "127") for name in SHORT),
    *((name, "x" * 32_767, "x" * 32_768, "32767") for name in LONG),
    *((name, 2**31 - 1, 2**31, "2147483647") for name in ("sequencenumber", "sequencetotal", "difficultytarget")),
    *((name, 2**63 - 1, 2**63, str(2**63 - 1)) for name in ("timestamp", "chainposition")),
    ("priority", 127, 128, "127"),
]


@pytest.mark.parametrize(("field", "allowed", "refused", "limit"), LIMITS)
def test_limits_of_the_format_are_checked_when_encoding(field, allowed, refused, limit):
    message = IoMessage(**{field: allowed})
    assert IoMessage.from_bytes(message.to_bytes()) == message
    with pytest.raises(MessageError, match=limit) as caught:
        IoMessage(**{field: refused}).to_bytes()
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sequencenumber", -1),
        ("timestamp", -5),
        ("sequencenumber", 1.5),
        ("sequencenumber", "7"),
        ("tag", 7),
        ("tag", "\ud800"),
        ("contentdata", "text"),
        ("version", 3),
    ],
)
def test_values_that_cannot_be_sent_name_their_field(field, value):
    with pytest.raises(MessageError) as caught:
        IoMessage(**{field: value}).to_bytes()
    assert caught.value.field == field


@pytest.mark.parametrize(
    "members",
    [{"version": 0}, {"difficultytarget": 0.0}, {"tag": None}, {"unknown": 1}, {}, {"contentdata": "eA"}],
)
def test_json_as_agents_write_it_is_taken(members):
    IoMessage.from_json(members)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timestamp", "5"),
        ("timestamp", True),
        ("difficultytarget", 0.5),
        ("tag", 5),
        ("contentdata", "?"),
        ("contentdata", 5),
        ("contentdata", "a-_b"),
    ],
)
def test_json_of_the_wrong_kind_names_its_field(field, value):
    with pytest.raises(MessageError) as caught:
        IoMessage.from_json({field: value})
    assert caught.value.field == field


def test_json_that_is_no_object_is_an_error():
    with pytest.raises(MessageError):
        IoMessage.from_json(["id"])  # type: ignore[arg-type]


short_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=31)
messages = st.builds(
    IoMessage,
    **dict.fromkeys([*SHORT, *LONG], short_text),
    **dict.fromkeys(("sequencenumber", "sequencetotal", "difficultytarget"), st.integers(0, 2**31 - 1)),
    **dict.fromkeys(("timestamp", "chainposition"), st.integers(0, 2**63 - 1)),
    **dict.fromkeys(("contextdata", "contentdata"), st.binary(max_size=200)),
    priority=st.integers(0, 127),
)


@given(messages)
def test_every_message_survives_both_forms(message):
    assert IoMessage.from_bytes(message.to_bytes()) == message
    assert IoMessage.from_json(json.loads(json.dumps(message.to_json()))) == message


@given(st.binary(max_size=300))
def test_arbitrary_bytes_give_a_message_or_the_named_error(data):
    for decode in (IoMessage.from_bytes, frames.msg_body, frames.read_receipt):
        with suppress(MessageError):
            decode(data)


@given(messages, st.data())
def test_a_damaged_message_gives_a_message_or_the_named_error(message, data):
    raw = bytearray(message.to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for damaged in (bytes(raw), bytes(raw[:cut])):
        with suppress(MessageError):
            IoMessage.from_bytes(damaged)


@given(messages, st.integers(1, 2**31 - 1), st.binary(max_size=100))
def test_a_template_encodes_as_the_message_itself_would(message, number, content):
    whole = structs.replace(message, sequencenumber=number, contentdata=content)
    assert MessageTemplate(message).encode(number, content) == whole.to_bytes()


@pytest.mark.parametrize("number", [0, -1, 2**31])
def test_a_template_refuses_numbers_out_of_range(number):
    with pytest.raises(MessageError, match="sequencenumber"):
        MessageTemplate(IoMessage()).encode(number, b"")
