"""Framings: whole and byte by byte, through garbage, with checksums, in bounded memory."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import SettingsError
from device_bridge.protocols import (
    Checksum,
    ChecksumSettings,
    CobsFraming,
    DelimiterFraming,
    FixedFraming,
    Framing,
    IdleFraming,
    LengthFraming,
    LineFraming,
    MarksFraming,
    SlipFraming,
    framer_for,
)

CRC = ChecksumSettings(algorithm="CRC-16/MODBUS", byte_order="little")


def slip(body):
    return b"\xc0" + body.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def cobs(body):
    out, block = bytearray(), bytearray()
    for byte in [*body, 0]:
        if byte:
            block.append(byte)
        if not byte or len(block) == 254:
            out += bytes((len(block) + 1,)) + block
            block.clear()
    return bytes(out) + b"\x00"


def length_prefixed(body):
    return (
        b"\xaa\x55\x01"
        + (len(body) + 2).to_bytes(2, "big")
        + Checksum(CRC_LENGTH).append(b"\xaa\x55\x01" + (len(body) + 2).to_bytes(2, "big") + body)[5:]
    )


CRC_LENGTH = ChecksumSettings(algorithm="CRC-16/MODBUS", byte_order="little")
no_ends = st.binary(min_size=1, max_size=40).map(lambda b: b.translate(None, b"\r\n#\x02\x03\xaa")).filter(bool)
anything = st.binary(min_size=1, max_size=40)

CASES = {
    "line": (LineFraming(), no_ends, lambda body: body + b"\r\n", lambda body: body),
    "delimiter": (DelimiterFraming(delimiter="##"), no_ends, lambda body: body + b"##", lambda body: body),
    "marks": (MarksFraming(start="\\x02", end="\\x03"), no_ends, lambda b: b"\x02" + b + b"\x03", lambda body: body),
    "slip": (SlipFraming(), anything, slip, lambda body: body),
    "cobs": (CobsFraming(), anything, cobs, lambda body: body),
    "slip with checksum": (SlipFraming(checksum=CRC), anything, lambda b: slip(Checksum(CRC).append(b)), lambda b: b),
    "fixed with checksum": (
        FixedFraming(length=12, start="\\xaa", checksum=CRC),
        st.binary(min_size=9, max_size=9),
        lambda body: Checksum(CRC).append(b"\xaa" + body),
        lambda body: b"\xaa" + body,
    ),
    "length with checksum": (
        LengthFraming(size=2, offset=3, start="\\xaa\\x55", checksum=CRC_LENGTH, max_length=100),
        anything,
        length_prefixed,
        lambda body: b"\xaa\x55\x01" + (len(body) + 2).to_bytes(2, "big") + body,
    ),
}
cases = pytest.mark.parametrize("name", CASES)


def by_chunks(framer, stream, sizes):
    found = []
    for size in sizes:
        found += framer.feed(stream[:size])
        stream = stream[size:]
    for byte in stream:
        found += framer.feed(bytes((byte,)))
    return found


@cases
@given(data=st.data())
def test_frames_come_out_whole_however_the_stream_is_cut(name, data):
    settings, body, wire, expected = CASES[name]
    bodies = data.draw(st.lists(body, max_size=6))
    stream = b"".join(map(wire, bodies))
    assert framer_for(settings).feed(stream) == [expected(b) for b in bodies]
    sizes = data.draw(st.lists(st.integers(1, 30), max_size=20))
    assert by_chunks(framer_for(settings), stream, sizes) == [expected(b) for b in bodies]


@cases
@given(data=st.data())
def test_garbage_loses_at_most_the_frame_it_hits(name, data):
    settings, body, wire, expected = CASES[name]
    bodies = data.draw(st.lists(body, min_size=3, max_size=6, unique=True))
    garbage = data.draw(st.binary(max_size=60))
    at = data.draw(st.integers(1, len(bodies) - 1))
    stream = b"".join([*map(wire, bodies[:at]), garbage, *map(wire, bodies[at:])])
    # What may look like a long frame is only known for wrong when more has come.
    found = framer_for(settings).feed(stream + wire(bodies[0]) * 60)
    wanted = [expected(b) for b in bodies]
    for frame in [*wanted[:at], *wanted[at + 1 :]]:
        assert frame in found


@cases
@given(chunks=st.lists(st.binary(max_size=200), max_size=20))
def test_arbitrary_bytes_never_raise_and_memory_is_bounded(name, chunks):
    framer = framer_for(CASES[name][0])
    for chunk in chunks:
        framer.feed(chunk)
    for _ in range(8):
        framer.feed(b"\xaa\x55A" * 200)
    assert len(framer._buffer) <= 4 * 1024


def test_silence_ends_a_frame():
    framer = framer_for(IdleFraming(gap=0.05))
    assert framer.feed(b"ab", 1.00) == []
    assert framer.feed(b"cd", 1.04) == []
    assert framer.feed(b"ef", 1.20) == [b"abcd"]
    assert framer.flush(1.24) == []
    assert framer.flush(1.26) == [b"ef"]
    assert framer.flush(9.99) == []


def test_a_frame_longer_than_allowed_is_given_up_and_the_next_one_found():
    for settings, wire in [
        (LineFraming(max_length=10), b"x" * 100 + b"\nnext\n"),
        (MarksFraming(start="<", end=">", max_length=10), b"<" + b"x" * 100 + b"><next>"),
    ]:
        framer = framer_for(settings)
        assert by_chunks(framer, wire, []) == [b"next"]
        assert framer.garbled


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [
        ("CRC-16/MODBUS", 0x4B37),
        ("crc-16/xmodem", 0x31C3),
        ("CRC-8/SMBUS", 0xF4),
        ("CRC-8/MAXIM-DOW", 0xA1),
        ("CRC-32/ISO-HDLC", 0xCBF43926),
        ("XOR", 0x31),
        ("SUM-8", 0xDD),
        ("SUM-16", 0x01DD),
    ],
)
@pytest.mark.parametrize("order", ["big", "little"])
def test_check_values_of_the_catalogue(algorithm, value, order):
    checksum = Checksum(ChecksumSettings(algorithm=algorithm, byte_order=order))
    frame = checksum.append(b"123456789")
    assert int.from_bytes(frame[9:], order) == value
    assert checksum.strip(frame) == b"123456789"
    assert checksum.strip(frame[:-1] + bytes((frame[-1] ^ 1,))) is None
    assert checksum.strip(b"") is None


def test_an_unknown_checksum_says_what_to_write():
    with pytest.raises(SettingsError, match="CRC-16/MODBUS"):
        Checksum(ChecksumSettings(algorithm="CRC-99"))


def test_settings_choose_the_framing_by_its_type():
    settings = msgspec.convert({"type": "length", "size": 2, "offset": 1, "checksum": {"algorithm": "XOR"}}, Framing)
    assert isinstance(settings, LengthFraming)
    assert settings.checksum.algorithm == "XOR"


def test_noise_costs_no_checksum_of_a_long_frame_for_each_byte():
    checksum = Checksum(CRC)
    framer = framer_for(FixedFraming(length=1000, max_length=1000, checksum=CRC))
    assert framer.feed(bytes(range(1, 255)) * 20) == []
    assert framer.garbled <= 20 * 254 / 15  # each place that was tried
    frames = [checksum.append(bytes((n,)) * 998) for n in range(1, 60)]
    found = framer.feed(b"".join(frames))
    assert found == [frame[:-2] for frame in frames[-len(found) :]]
    assert len(found) >= 20


def test_marks_within_data_do_no_harm_where_a_checksum_decides():
    settings = MarksFraming(start="<", end=">", after=2, keep_marks=True, checksum=CRC)
    frame = Checksum(CRC).append(b"<a>b<c>")
    framer = framer_for(settings)
    assert by_chunks(framer, b"<x" + frame + b"..." + frame, []) == [b"<a>b<c>"] * 2
    assert framer.feed(b"<a>b<d>" + frame[-2:]) == []
    assert framer.garbled >= 1
    assert framer.feed(frame) == [b"<a>b<c>"]
