"""The emulated receiver: what is set comes back through the driver; recordings keep their bytes and timing."""

import asyncio
import contextlib
import json
import math
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gps_receiver.emulator import EARTH_RADIUS_M, GpsEmulator, Waypoint, encode, main
from gps_receiver.protocol import Decoder, SentenceReader
from gps_receiver.recording import replay

UTC = 1_795_448_768.25


def measured(emulator, elapsed_s=0.0):
    decoder = Decoder()
    sentences = SentenceReader().feed(b"".join(emulator.epoch(elapsed_s, UTC)))
    return {r.name: r for sentence in sentences for r in decoder.decode(sentence)}


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 500), st.floats(0, 359.99), st.floats(-400, 9000))
def test_what_is_set_is_measured_within_the_resolution(lat, lon, speed, course, altitude):
    emulator = GpsEmulator()
    for name, value in {"lat": lat, "lon": lon, "speed": speed, "course": course, "altitude": altitude}.items():
        emulator.set(name, value)
    found = {name: reading.value for name, reading in measured(emulator).items()}
    assert found["lat"] == pytest.approx(lat, abs=1.01e-7)
    assert found["lon"] == pytest.approx(lon, abs=1.01e-7)
    assert found["speed"] == pytest.approx(speed, abs=0.0003)
    assert found["course"] == pytest.approx(course, abs=0.006)
    assert found["altitude"] == pytest.approx(altitude, abs=0.051)


def test_satellites_and_dilution_are_measured():
    emulator = GpsEmulator()
    for name, value in {"satellites_used": 7, "satellites_in_view": 13, "hdop": 2.5}.items():
        emulator.set(name, value)
    found = measured(emulator)
    assert (found["satellites_used"].value, found["satellites_in_view"].value, found["hdop"].value) == (7, 13, 2.5)


def test_losing_the_fix_is_said_in_every_sentence():
    emulator = GpsEmulator()
    emulator.set("fix_quality", 0)
    found = measured(emulator)
    assert (found["lat"].value, found["lat"].reason, found["fix_mode"].value) == (None, "no fix", 1)
    emulator.set("fix_quality", None)
    assert measured(emulator)["lat"].value is not None


@pytest.mark.parametrize(("indicator", "quality"), [(2, "good"), (4, "good"), (6, "uncertain"), (8, "uncertain")])
def test_all_sentences_agree_on_the_quality_of_the_fix(indicator, quality):
    emulator = GpsEmulator()
    emulator.set("fix_quality", indicator)
    for sentence in SentenceReader().feed(b"".join(emulator.epoch(0, UTC))):
        readings = {r.name: r.quality.value for r in Decoder().decode(sentence)}
        assert {readings[name] for name in ("lat", "lon", "speed", "course") if name in readings} <= {quality}


def test_its_clock_and_talker():
    gga, rmc, *_ = GpsEmulator(talker="GN").epoch(0, UTC)
    assert gga.startswith(b"$GNGGA,154608.25,")
    assert rmc.startswith(b"$GNRMC,154608.25,A,")
    assert b",231126,,,A*" in rmc


@given(st.floats(0, 4e9))
def test_every_sentence_is_within_the_length_of_the_standard(utc):
    emulator = GpsEmulator([Waypoint(-89.99, -179.99, 9999)], speed=0)
    assert all(len(sentence) <= 82 for sentence in emulator.epoch(0, utc))


def test_it_moves_along_its_track_and_round_again():
    track = (Waypoint(0, 0, 0), Waypoint(0, 1, 100))
    emulator = GpsEmulator(track, speed=1000.0)
    length_m = 2 * math.pi * EARTH_RADIUS_M / 360
    quarter = measured(emulator, length_m / 4 / 1000)
    assert quarter["lon"].value == pytest.approx(0.25, abs=1e-5)
    assert quarter["altitude"].value == pytest.approx(25, abs=0.1)
    assert quarter["course"].value == pytest.approx(90, abs=0.01)
    assert measured(emulator, length_m * 2.25 / 1000)["lon"].value == pytest.approx(0.25, abs=1e-5)


def test_a_track_across_the_antimeridian_takes_the_short_way_along_the_great_circle():
    emulator = GpsEmulator((Waypoint(60, 170), Waypoint(60, -170)), speed=1.0)
    half_s = 2 * math.asin(math.sin(math.radians(10)) * 0.5) * EARTH_RADIUS_M / 2
    middle = measured(emulator, half_s)
    assert middle["lon"].value % 360 == pytest.approx(180, abs=1e-6)
    assert middle["lat"].value == pytest.approx(
        math.degrees(math.atan(math.tan(math.pi / 3) / math.cos(math.pi / 18)))
    )
    assert middle["course"].value == pytest.approx(90, abs=0.01)


@given(st.floats(0, 1e6), st.floats(0, 100))
def test_it_moves_at_its_speed(elapsed_s, speed):
    emulator = GpsEmulator(speed=speed)
    first, second = measured(emulator, elapsed_s), measured(emulator, elapsed_s + 1)
    north_m = math.radians(second["lat"].value - first["lat"].value) * EARTH_RADIUS_M
    east_m = math.radians(second["lon"].value - first["lon"].value) * EARTH_RADIUS_M * math.cos(math.radians(53.54))
    assert math.hypot(north_m, east_m) <= speed * 1.001 + 0.05  # less only round a corner
    assert first["speed"].value == pytest.approx(speed, abs=0.0003)


def test_a_track_of_one_point_stands_still():
    found = measured(GpsEmulator([Waypoint(-33.9, 151.2, 3)]), 1000)
    assert (found["lat"].value, found["lon"].value) == pytest.approx((-33.9, 151.2), abs=1e-7)
    assert found["speed"].value == 0
    with pytest.raises(ValueError, match="waypoint"):
        GpsEmulator([])


def test_an_unknown_quantity_cannot_be_set():
    with pytest.raises(KeyError, match="can be set"):
        GpsEmulator().set("temperature", 5)


@pytest.mark.parametrize(
    ("quantity", "value"), [("lat", 90.1), ("speed", -1), ("hdop", math.nan), ("fix_quality", 10)]
)
def test_an_impossible_value_cannot_be_set(quantity, value):
    with pytest.raises(ValueError, match=quantity):
        GpsEmulator().set(quantity, value)


def test_a_recording_keeps_every_byte_and_its_own_timing():
    recording = (
        b"\x00\xffgarbage\r\n"
        + encode("GPRMC,120000.00,V,,,,,,,010101,,,N")
        + encode("GPGSA,A,1")
        + encode("GPRMC,120001.50,V,,,,,,,010101,,,N")
        + b"half"
    )
    steps = list(replay(recording, speed=10))
    assert b"".join(data for _, data in steps) == recording
    assert sum(delay for delay, _ in steps) == pytest.approx(0.15)


def test_midnight_and_a_clock_that_goes_back_do_not_stop_it():
    times = ["235959.00", "000000.00", "120000.00", "115959.00"]
    recording = b"".join(encode(f"GPRMC,{at},V,,,,,,,010101,,,N") for at in times)
    assert [delay for delay, _ in replay(recording)] == pytest.approx([0, 1, 43_200, 0])


def test_a_recording_without_times_is_paced_by_the_baud_rate():
    assert sum(d for d, _ in replay(b"x" * 959 + b"\n", baud=9600)) == pytest.approx(1.0)


@contextlib.asynccontextmanager
async def running(*arguments):
    """The emulator as a process, and the path of its tty."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gps_receiver.emulator", *map(str, arguments)), stdout=asyncio.subprocess.PIPE
    )
    try:
        settings = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))["settings"]
        assert set(settings) == {"serial"}
        yield process, settings["serial"]
    finally:
        if process.returncode is None:
            process.terminate()  # so that it tidies up after itself
        await process.wait()


async def sent(path, until):
    """What comes from the tty until a condition on all of it holds."""
    fd, data = os.open(path, os.O_RDONLY | os.O_NOCTTY), b""
    try:
        while not until(data):
            data += await asyncio.wait_for(asyncio.to_thread(os.read, fd, 65_536), 60)
    finally:
        os.close(fd)
    return data


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_how_to_reach_it_and_ends_in_order(tmp_path, number):
    async with running("--rate", 50, "--link", tmp_path / "tty") as (process, reached):
        assert reached == {"port": str(tmp_path / "tty"), "baud": 9600}
        assert SentenceReader().feed(await sent(reached["port"], lambda data: len(data) > 2000))
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert await process.stdout.read() == b""
    assert not (tmp_path / "tty").exists()


async def test_its_own_folder_is_gone_afterwards_even_when_nobody_reads():
    async with running("--rate", 100) as (process, reached):
        assert Path(reached["port"]).is_char_device()
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0
    assert not Path(reached["port"]).parent.exists()


async def test_a_counted_run_arrives_whole_or_damaged_as_asked(tmp_path):
    async with running("--count", 20, "--rate", 100, "--corrupt", 0.5, "--seed", 3) as (process, reached):
        data = await sent(reached["port"], lambda data: data.count(b"\n") == 20 * 7)
        reader = SentenceReader()
        reader.feed(data)
        assert process.returncode is None
    assert reader.sentences + reader.checksum_errors == 20 * 7
    assert 40 < reader.checksum_errors < 100


async def test_a_recording_is_played_whole_again_and_again(tmp_path):
    recording = b"\xff\x00" + encode("GPRMC,120000,V,,,,,,,,,,N") + encode("GPRMC,120001,V,,,,,,,,,,N")
    (tmp_path / "a.log").write_bytes(recording)
    arguments = ("--replay", tmp_path / "a.log", "--replay-speed", 100, "--loop", "--baud", 4800)
    async with running(*arguments) as (_, reached):
        assert reached["baud"] == 4800
        data = await sent(reached["port"], lambda data: len(data) >= 3 * len(recording))
    assert data.startswith(recording * 3)


async def test_a_track_from_a_file(tmp_path):
    (tmp_path / "track.csv").write_text("# lat,lon,altitude\n-33.9,151.2,7\n\n")
    async with running("--track", tmp_path / "track.csv") as (_, reached):
        data = await sent(reached["port"], lambda data: data.count(b"\n") > 1)
    assert b",3354.00000,S,15112.00000,E,1,09,0.9,7.0,M," in data


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--rate", "0"], "--rate"),
        (["--rate", "nan"], "--rate"),
        (["--baud", "fast"], "--baud"),
        (["--corrupt", "2"], "--corrupt"),
        (["--replay", "/does/not/exist"], "/does/not/exist"),
        (["--track", __file__], "line 1"),
        (["--link", __file__], "is not a link"),
    ],
)
def test_bad_arguments_are_one_clear_line(arguments, named, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert named in printed.err.splitlines()[-1]
