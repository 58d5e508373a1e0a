"""The simulated line is a real tty; its faults are known to the test."""

import asyncio
import contextlib
import os
import stat

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st

from gps_receiver.emulator import encode
from gps_receiver.protocol import SentenceReader
from simulated_devices import SerialFaults, SimulatedSerialLine, baud_mismatch

SENTENCE = b"$GPVTG,054.7,T,034.4,M,005.5,N,010.2,K*48\r\n"


async def test_both_directions_through_pyserial(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        assert stat.S_ISCHR(line.path.stat().st_mode)
        with serial.Serial(str(line.path), 9600, timeout=5) as port:
            await line.send(b"\r\n\x03\x11\xff")
            assert port.read(5) == b"\r\n\x03\x11\xff"
            port.write(b"\nhello\x04")
            assert await asyncio.wait_for(line.receive(), 60) == b"\nhello\x04"


async def test_what_is_sent_before_the_port_is_opened_waits(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        await line.send(b"early")
        with serial.Serial(str(line.path), 9600, timeout=5) as port:
            port.reset_input_buffer()
            await line.send(b"late")
            assert port.read(4) == b"late"


async def test_sending_waits_for_a_slow_reader_and_loses_nothing(tmp_path):
    data = bytes(range(1, 256)) * 400
    with SimulatedSerialLine(tmp_path / "tty") as line:
        fd = os.open(line.path, os.O_RDONLY | os.O_NOCTTY)
        sending = asyncio.ensure_future(line.send(data))
        received = b""
        while len(received) < len(data):
            received += await asyncio.to_thread(os.read, fd, 1000)
        await sending
        os.close(fd)
    assert received == data


async def test_ten_thousand_sentences_arrive_in_order(tmp_path):
    sentences = [encode(f"GPTXT,{number}") for number in range(10_000)]
    reader, found = SentenceReader(), []
    with SimulatedSerialLine(tmp_path / "tty") as line:
        fd = os.open(line.path, os.O_RDONLY | os.O_NOCTTY)
        sending = asyncio.ensure_future(line.send(b"".join(sentences)))
        while len(found) < len(sentences):
            found += reader.feed(await asyncio.to_thread(os.read, fd, 65_536))
        await sending
        os.close(fd)
    assert [sentence.fields[0] for sentence in found] == [str(number) for number in range(10_000)]
    assert (reader.garbled, reader.checksum_errors) == (0, 0)


async def test_a_service_that_closes_the_port_loses_nothing_that_comes_after(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        for round_ in (b"first", b"second"):
            fd = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
            await line.send(round_)
            assert os.read(fd, 100) == round_
            os.close(fd)
            await line.send(b"meanwhile")
            assert line.read() == b""
            fd = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
            assert os.read(fd, 100) == b"meanwhile"
            os.close(fd)


async def test_write_never_waits_when_nobody_reads(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        counts = [line.write(b"x" * 1000)]
        while counts[-1]:
            counts.append(line.write(b"x" * 1000))
        assert 4000 < sum(counts) < 1_000_000
        assert counts[-1] == 0  # the next one may find room again: the kernel moves what is written on its own time


async def test_unplugging_wakes_who_waits_and_later_use_is_refused(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        sending = asyncio.ensure_future(line.send(b"x" * 1_000_000))
        receiving = asyncio.ensure_future(line.receive())
        await asyncio.sleep(0)
        line.unplug()
        line.replug()
        for waiting in (sending, receiving):
            with pytest.raises(ConnectionError, match="unplugged"):
                await asyncio.wait_for(waiting, 60)
        line.unplug()
        for use in (line.send(b"x"), line.receive()):
            with pytest.raises(ConnectionError, match="unplugged"):
                await use
        line.replug()
        fd = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
        os.write(fd, b"again")
        assert await asyncio.wait_for(line.receive(), 60) == b"again"
        os.close(fd)


async def test_a_cancelled_send_leaves_the_line_usable(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        sending = asyncio.ensure_future(line.send(b"x" * 1_000_000))
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        fd = os.open(line.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while os.read(fd, 65_536):
                pass
        await line.send(b"end")
        os.set_blocking(fd, True)
        assert os.read(fd, 10) == b"end"
        os.close(fd)


def test_a_file_of_the_same_name_is_left_alone(tmp_path):
    (tmp_path / "notes").write_text("mine")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for path, error in ((tmp_path / "notes", FileExistsError), (tmp_path / "no" / "tty", FileNotFoundError)):
        with pytest.raises(error), SimulatedSerialLine(path):
            pass
    assert (tmp_path / "notes").read_text() == "mine"
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_link_left_over_from_before_is_replaced(tmp_path):
    (tmp_path / "tty").symlink_to("/dev/pts/nothing")
    with SimulatedSerialLine(tmp_path / "tty") as line:
        assert line.path.is_char_device()
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_unplug_is_a_hang_up_and_replug_keeps_the_name(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        fd = os.open(line.path, os.O_RDONLY | os.O_NOCTTY)
        line.unplug()
        assert os.read(fd, 10) == b""
        assert not line.path.exists()
        line.replug()
        assert stat.S_ISCHR(line.path.stat().st_mode)
        os.close(fd)


@given(st.integers(0, 10_000))
def test_corruption_is_always_one_that_the_checksum_notices(seed):
    faults = SerialFaults(corrupt=1.0, seed=seed)
    damaged = faults.apply(SENTENCE)
    assert len(damaged) == len(SENTENCE)
    assert sum(a != b for a, b in zip(damaged, SENTENCE, strict=True)) == 1
    assert SentenceReader().feed(damaged) == []
    assert faults.corrupted == 1


@pytest.mark.parametrize(("fault", "expected"), [("drop", b""), ("duplicate", SENTENCE * 2)])
def test_drop_and_duplicate(fault, expected):
    faults = SerialFaults(**{fault: 1.0})
    assert faults.apply(SENTENCE) == expected


@given(st.integers(0, 1000))
def test_it_is_known_which_frames_are_damaged(seed):
    faults = SerialFaults(corrupt=0.2, drop=0.1, duplicate=0.1, seed=seed)
    frames = [encode(f"GPTXT,{number}") for number in range(50)]
    arrived = [faults.apply(frame) for frame in frames]
    damaged = [number for number, (a, b) in enumerate(zip(arrived, frames, strict=True)) if b not in a]
    assert list(faults.damaged) == damaged
    assert len(damaged) == faults.corrupted + faults.dropped
    good = SentenceReader().feed(b"".join(arrived))
    assert {int(sentence.fields[0]) for sentence in good} == set(range(50)) - set(damaged)


@given(st.integers(0, 1000))
def test_split_cuts_anywhere_and_loses_nothing(seed):
    faults = SerialFaults(split=True, seed=seed)
    arrived = [faults.apply(SENTENCE) for _ in range(20)]
    assert any(not part.endswith(b"\n") for part in arrived)
    assert b"".join(arrived) + faults.rest() == SENTENCE * 20
    assert not faults.damaged


@given(st.binary(max_size=100), st.sampled_from([300, 4800, 115_200]), st.integers(0, 100))
def test_at_the_right_rate_nothing_is_misread(data, baud, seed):
    assert baud_mismatch(data, baud, baud, seed) == data


@given(st.binary(max_size=100), st.sampled_from([0.97, 1.03]))
def test_clocks_that_differ_a_little_do_no_harm(data, ratio):
    assert baud_mismatch(data, 9600, round(9600 * ratio)) == data


def test_the_wrong_rate_gives_noise():
    # On the line 0x55 is 0101010101: each bit is read twice, and the stop bit of the first character is a 0.
    assert baud_mismatch(b"\x55", 4800, 9600) == b"\x66\xe6"
    assert baud_mismatch(b"\x00", 960, 9600) == b"\x00", "a break is one character"
    for sent, read in ((4800, 9600), (9600, 4800), (9600, 115_200), (115_200, 9600)):
        noise = baud_mismatch(SENTENCE * 20, sent, read)
        assert 0 < len(noise) <= len(SENTENCE) * 20 * 12
        assert SentenceReader().feed(noise) == []


def test_the_same_seed_does_the_same_damage():
    first, second = (SerialFaults(corrupt=0.3, drop=0.2, seed=7) for _ in range(2))
    assert [first.apply(SENTENCE) for _ in range(50)] == [second.apply(SENTENCE) for _ in range(50)]
