"""The service on a line: what falls silent, what is lost, what is counted."""

import asyncio
import contextlib

import pytest

from device_bridge import NodePosition, Quality, SettingsError
from device_bridge.supervision import DeviceState
from gps_receiver.emulator import encode
from gps_receiver.service import GpsReceiver
from simulated_devices import SimulatedSerialLine

from .serving import bridging, settings_of

POSITION = encode("GPGLL,5300.0,N,00630.0,E,120000,A,A")
DEPTH = encode("SDDPT,5.4,0.4,")


@contextlib.asynccontextmanager
async def receiver(tmp_path, **members):
    settings = settings_of(GpsReceiver, serial={"port": str(tmp_path / "tty")}, **members)
    with SimulatedSerialLine(tmp_path / "tty") as line:
        async with bridging(GpsReceiver, settings) as bridged:
            while not bridged.bridge.is_usable:
                await asyncio.sleep(0.005)
            yield line, bridged


async def test_a_talkative_echo_sounder_keeps_no_position_alive(tmp_path):
    async with receiver(tmp_path, stale_after=0.3) as (line, bridged):
        await line.send(POSITION)
        assert (await bridged.sample())["lat"].quality is Quality.GOOD

        async def sound():
            while True:
                await line.send(DEPTH)
                await asyncio.sleep(0.02)

        sounding = asyncio.ensure_future(sound())
        stale = await bridged.sample(lambda found: "lat" in found)
        assert (stale["lat"].value, stale["lat"].quality) == (53, Quality.STALE)
        assert stale["lon"].quality is Quality.STALE
        await bridged.sample(lambda found: "depth_below_transducer" in found)
        await line.send(POSITION)
        assert (await bridged.sample(lambda found: "lat" in found))["lat"].quality is Quality.GOOD
        sounding.cancel()
        await asyncio.gather(sounding, return_exceptions=True)


async def test_the_loss_of_the_fix_is_reported_at_once(tmp_path):
    async with receiver(tmp_path) as (line, bridged):
        await line.send(encode("GPGGA,120000,5300.0,N,00630.0,E,1,08,1.0,1.0,M,,M,,"))
        await bridged.sample()
        await line.send(encode("GPGGA,120001,8960.0000,N,00000.0,E,0,00,50.0,0.0,M,0.0,M,,"))
        lost = await bridged.sample()
        assert (lost["lat"].quality, lost["lat"].reason) == (Quality.BAD, "no fix")
        assert lost["fix_quality"].value == 0


async def test_good_positions_alone_are_reported_to_the_node(tmp_path):
    reported = []

    async def send(lat, lon):
        reported.append((lat, lon))

    async with receiver(tmp_path, node_position=3600) as (line, bridged):
        bridged.node.position = NodePosition(send)
        without_fix = "GPGGA,120001,5300.0,N,00700.0,E,0,00,50.0,0.0,M,0.0,M,,"
        for sentence in (without_fix, "GPGLL,5301.0,N,00700.0,E,120000,A,E"):
            await line.send(encode(sentence))
            assert (await bridged.sample())["lat"].quality is not Quality.GOOD
        for sentence in (POSITION, encode("GPGLL,5400.0,N,00630.0,E,120000,A,A")):
            await line.send(sentence)
            assert (await bridged.sample())["lat"].quality is Quality.GOOD
    assert reported == [(53, 6.5)]


async def test_no_position_is_reported_by_default(tmp_path):
    async with receiver(tmp_path) as (line, bridged):
        bridged.node.position = None
        await line.send(POSITION)
        assert (await bridged.sample())["lat"].value == 53


def test_a_position_is_not_reported_every_second():
    with pytest.raises(SettingsError, match=r"node_position = 1.*Write 0 for none, or 10 at least"):
        GpsReceiver.check_settings(settings_of(GpsReceiver, serial={"port": "/dev/x"}, node_position=1))


async def test_a_lost_receiver_is_bad_in_what_it_has_measured(tmp_path):
    async with receiver(tmp_path) as (line, bridged):
        await line.send(DEPTH)
        await bridged.sample()
        line.unplug()
        lost = await bridged.sample(lambda found: bridged.bridge.state is DeviceState.FAILED)
        assert set(lost) == {"lat", "lon", "depth_below_transducer", "depth_below_surface"}
        assert {reading.quality for reading in lost.values()} == {Quality.BAD}


async def test_every_sentence_is_counted_by_its_outcome(tmp_path):
    async with receiver(tmp_path) as (line, bridged):
        damaged = POSITION.replace(b"5300", b"5301")
        odd = encode("GPGLL,9960.0,N,00630.0,E,120000,A,A")
        await line.send(b"noise" + encode("PGRME,7.6,M") + encode("GPXTE,A,A,4.07,L,N") + damaged + odd + POSITION)
        await bridged.sample(lambda found: found["lat"].value == 53)
        assert bridged.bridge.counters() == {
            "sentences": 4,
            "ignored_sentences": 2,
            "malformed_sentences": 1,
            "checksum_errors": 1,
            "garbled_bytes": 5,
        }
