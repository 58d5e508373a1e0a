"""NMEA 0183 sentences out of any stream of bytes, however it is cut or damaged."""

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gps_receiver.emulator import encode
from gps_receiver.protocol import MAX_SENTENCE, SentenceReader
from simulated_devices import baud_mismatch

GGA = b"$GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,*76\r\n"
RMC = b"$GPRMC,092750.000,A,5321.6802,N,00630.3372,W,0.02,31.66,280511,,,A*43\r\n"
GSA = b"$GPGSA,A,3,10,07,05,02,29,04,08,13,,,,,1.72,1.03,1.38*0A\r\n"
GSV = (
    b"$GPGSV,3,1,11,10,63,137,17,07,61,098,15,05,59,290,20,08,54,157,30*70\r\n"
    b"$GPGSV,3,2,11,02,39,223,19,13,28,070,17,26,23,252,,04,14,186,14*79\r\n"
    b"$GPGSV,3,3,11,29,09,301,24,16,09,020,,36,,,*76\r\n"
)
VTG = b"$GPVTG,054.7,T,034.4,M,005.5,N,010.2,K*48\r\n"


def read(data, **options):
    return SentenceReader(**options).feed(data)


def test_a_sentence_without_checksum_only_where_allowed():
    bare = b"$GPVTG,1,T,,M,1,N,,K\r\n"
    assert read(bare) == []
    assert len(read(bare, require_checksum=False)) == 1
    assert read(bare.replace(b"\r\n", b"*00\r\n"), require_checksum=False) == []


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_line_ends(end):
    assert len(read(GGA.strip() + end + RMC.strip() + end)) == 2


def test_every_one_byte_change_is_noticed():
    body = GGA[1:-5]
    for at in range(len(body)):
        for flip in range(1, 256):
            damaged = GGA[: at + 1] + bytes((body[at] ^ flip,)) + GGA[at + 2 :]
            assert read(damaged) == [], damaged


def test_garbage_costs_at_most_the_sentence_it_falls_into():
    stream = b"\x00\xff$GP" + GGA + b"\xb5\x62\x01$$$!" + RMC + GGA[:30] + GSA + b"x" * 5000 + VTG
    assert [s.type for s in read(stream)] == ["GGA", "RMC", "GSA", "VTG"]


def test_another_baud_rate_in_between_costs_only_itself():
    noise = baud_mismatch(GGA * 20, 4800, 9600) + baud_mismatch(GGA * 20, 115_200, 9600)
    assert [s.type for s in read(GGA + noise + b"\n" + RMC)] == ["GGA", "RMC"]


def test_the_same_baud_rate_is_no_noise():
    assert baud_mismatch(GGA, 9600, 9600) == GGA


def test_an_endless_sentence_takes_no_memory():
    reader, chunk = SentenceReader(), b"$" + b"A" * 5000
    tracemalloc.start()
    for _ in range(1000):
        reader.feed(chunk)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 5000
    assert len(reader.feed(b"\r\n" + GGA)) == 1


def test_a_sentence_may_be_longer_than_the_standard_says_but_not_endless():
    longest = encode("GPTXT," + "x" * (MAX_SENTENCE - 10))
    assert len(longest.strip()) == MAX_SENTENCE
    assert [len(read(longest)), len(read(encode("GPTXT," + "x" * (MAX_SENTENCE - 9))))] == [1, 0]


def test_what_was_no_sentence_is_counted():
    reader = SentenceReader()
    reader.feed(b"noise\r\n" + GGA + GGA[:20] + RMC + RMC.replace(b"31.66", b"31.67") + b"$hello*00\r\n$GP")
    assert (reader.sentences, reader.checksum_errors, reader.garbled) == (2, 2, 5 + 20)
    reader.feed(b"\xff" + encode("gp,1"))
    assert (reader.sentences, reader.checksum_errors, reader.garbled) == (2, 2, 5 + 20 + 4 + 8)


pieces = st.lists(
    st.one_of(
        st.sampled_from([GGA, RMC, GSA, GSV, VTG, GGA[:20], b"\r\n", b"$", b"!", b"*", b"\r"]),
        st.binary(max_size=150),
    ),
    max_size=12,
)


@given(pieces, st.lists(st.integers(1, 50), max_size=60))
@example([b"$" + b"A" * 200 + GGA, b"$" + b"B" * 119 + b"\r"], [])
def test_how_the_stream_is_cut_makes_no_difference(parts, sizes):
    stream = b"".join(parts)
    whole = SentenceReader()
    expected = whole.feed(stream)
    reader, found, rest = SentenceReader(), [], stream
    for size in sizes:
        found += reader.feed(rest[:size])
        rest = rest[size:]
    for byte in rest:
        found += reader.feed(bytes((byte,)))
    assert found == expected
    counters = [(r.sentences, r.checksum_errors, r.garbled) for r in (reader, whole)]
    assert counters[0] == counters[1]


@given(st.one_of(st.binary(max_size=200), st.text(max_size=80).map(lambda t: b"$GP" + t.encode() + b"\r\n")))
def test_arbitrary_bytes_never_raise(data):
    read(data)
    read(data, require_checksum=False)
