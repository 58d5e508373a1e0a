"""WebSocket frames, held against wsproto as an independent implementation."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

from iofog_sdk.http.websocket import (
    Frame,
    FrameReader,
    Opcode,
    WebSocketError,
    accept_for,
    encode_close,
    encode_frame,
)

SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]


@pytest.mark.parametrize("size", SIZES)
def test_what_we_write_wsproto_reads(size):
    payload = bytes(i % 251 for i in range(size))
    peer = FrameProtocol(client=False, extensions=[])
    peer.receive_bytes(encode_frame(Opcode.BINARY, payload))
    received = list(peer.received_frames())
    assert b"".join(bytes(frame.payload) for frame in received) == payload
    assert received[-1].message_finished


@pytest.mark.parametrize("size", SIZES)
def test_what_wsproto_writes_we_read(size):
    payload = bytes(i % 251 for i in range(size))
    wire = FrameProtocol(client=False, extensions=[]).send_data(payload, fin=True)
    assert FrameReader().feed(wire) == [Frame(Opcode.BINARY, payload)]


def test_close_frame_is_read_by_wsproto():
    peer = FrameProtocol(client=False, extensions=[])
    peer.receive_bytes(encode_close(1002, "masked " + "x" * 200))
    (frame,) = peer.received_frames()
    code, reason = frame.payload
    assert code == 1002
    assert reason.startswith("masked")


def test_accept_key_of_the_standard():
    assert accept_for("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3


opcodes = st.sampled_from([Opcode.BINARY, Opcode.TEXT, Opcode.PING, Opcode.PONG, Opcode.CLOSE])
frame_lists = st.lists(st.tuples(opcodes, st.binary(max_size=125)), max_size=8)


@given(frame_lists, st.lists(st.integers(1, 40), max_size=40))
def test_frames_come_out_whole_however_the_stream_is_cut(frames, cuts):
    wire = b"".join(bytes((0x80 | opcode, len(payload))) + payload for opcode, payload in frames)
    reader, received = FrameReader(), []
    for size in [*cuts, len(wire)]:
        received += reader.feed(wire[:size])
        wire = wire[size:]
    assert [(f.opcode, f.payload) for f in received] == frames


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"\x82\x81\0\0\0\0x", 1002),
        (b"\xc2\x00", 1002),
        (b"\x83\x00", 1002),
        (b"\x09\x00", 1002),
        (b"\x89\x7e\x00\x7e", 1002),
        (b"\x82\x7f\x00\x00\x00\x00\x7f\xff\xff\xff", 1009),
    ],
    ids=["masked server", "reserved bit", "opcode", "fragmented ping", "long ping", "too large"],
)
def test_broken_frames_are_refused_with_the_right_code(wire, code):
    with pytest.raises(WebSocketError) as caught:
        FrameReader().feed(wire)
    assert caught.value.code == code


@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_frames_or_the_named_error(data):
    with suppress(WebSocketError):
        FrameReader(max_payload=1000).feed(data)
