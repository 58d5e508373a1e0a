"""The GPS service as its user runs it: device, service, agent and receiver, each real."""

import asyncio
import itertools
import json
import os

import pytest

from device_bridge import SettingsError
from device_bridge.runtime import Runtime
from device_bridge.settings import SettingsSources
from gps_receiver.emulator import GpsEmulator, encode
from gps_receiver.protocol import Decoder, SentenceReader
from gps_receiver.service import GpsReceiver
from iofog_sdk import connect
from local_agent import LocalAgent
from local_agent.ports import free_port
from simulated_devices import SerialFaults, SimulatedSerialLine

from .conftest import ServiceHere, agent_config, environment, opened, page, receiving, until, until_page


def metric(text, name):
    return float(next(line for line in text.splitlines() if line.startswith(name)).split()[-1])


def everything_is_delivered(text):
    return text and metric(text, "bridge_readings_read_total") == metric(text, "bridge_readings_delivered_total")


async def test_two_thousand_sentences_with_five_percent_damaged(agent, start, line):
    faults, emulator = SerialFaults(corrupt=0.05, seed=3), GpsEmulator()
    sentences = [s for second in range(300) for s in emulator.epoch(second, 1.7e9 + second)][:2000]
    sent = [faults.apply(sentence) for sentence in sentences]
    assert len(sent) == 2000
    assert 80 < faults.corrupted < 120
    decoder, expected = Decoder(), []
    for sentence in SentenceReader().feed(b"".join(sent)):
        readings = decoder.decode(sentence)
        if readings:
            expected.append([("gps_receiver:" + r.name, r.value) for r in readings])

    agent.set_config("device", {"serial": {"port": str(line.path)}})
    async with receiving(agent) as receiver:
        service = await start("gps_receiver", **environment(agent))
        await until(lambda: service.logged("started"))
        await until(lambda: opened(service, line))
        await line.send(b"".join(sent))
        await until(lambda: len(receiver.samples) >= len(expected), 150)
        assert await service.stop() == 0
    assert [[(r.name, r.value) for r in sample] for sample in receiver.samples] == expected
    assert (receiver.tracker.missing, receiver.tracker.duplicates, receiver.tracker.reordered) == (0, 0, 0)
    counts = service.counts
    assert counts["read"] == counts["delivered"] == sum(len(sample) for sample in expected)


async def test_the_position_is_reported_to_the_node_beside_the_readings(agent, line, caplog):
    port = free_port()
    config = {"serial": {"port": str(line.path)}, "http": {"port": port}, "node_position": 3600}
    agent.set_config("device", config)
    async with receiving(agent) as receiver:
        service = ServiceHere(GpsReceiver, caplog, **environment(agent))
        await until(lambda: opened(service, line))
        await line.send(encode("GPGLL,5332.6968,N,00958.0251,E,120000,A,A"))
        await until(lambda: agent.position["lat"] and receiver.samples)
        text = await until_page(port, "/metrics", lambda _, text: 'positions_total{result="accepted"} 1' in text)
        await service.stop()
    assert agent.position == {"lat": "53.544947", "lon": "9.967085"}
    assert 'positions_total{result="refused"} 0' in text


async def test_an_agent_killed_and_restarted_costs_nothing(start, line, tmp_path):
    port, http_port = free_port(), free_port()
    config = {"serial": {"port": str(line.path)}, "http": {"port": http_port}}
    (tmp_path / "agent.json").write_text(
        json.dumps(
            {
                "listen": {"port": port},
                "microservices": {"device": {"config": config}, "viewer": {}},
                "routes": [{"from": "device", "to": "viewer"}],
            }
        )
    )
    ids = LocalAgent(agent_config(port=port))
    samples = []

    async def listen():
        """Takes what the agent has, again after each of its restarts."""
        async with connect(environment(ids, "viewer")) as link:
            async for message in link.messages():
                samples.append((message.groupid, message.sequencenumber))

    listening = asyncio.ensure_future(listen())
    agent = await start("local_agent", "--config", str(tmp_path / "agent.json"))
    service = await start("gps_receiver", **environment(ids), STATE_DIRECTORY=str(tmp_path))
    await until(lambda: opened(service, line))
    emulator, seconds = GpsEmulator(), itertools.count()

    async def move():
        second = next(seconds)
        await line.send(b"".join(emulator.epoch(second, 1.7e9 + second)))
        await asyncio.sleep(0.02)

    async def move_until_readings_arrive():
        before = len(samples)
        while len(samples) <= before + 50:
            await move()

    for _ in range(2):
        await move_until_readings_arrive()
        await agent.stop(9)
        for _ in range(15):
            await move()  # readings pile up while nobody is there
        agent = await start("local_agent", "--config", str(tmp_path / "agent.json"))
    await move_until_readings_arrive()
    await until_page(http_port, "/metrics", lambda _, text: everything_is_delivered(text))
    assert await service.stop() == 0
    counts = service.counts
    assert counts["dropped"] == 0
    assert counts["read"] == counts["delivered"]
    # Killing the agent may lose what it had taken and not passed on; what the service held has all arrived.
    last = max(number for _, number in samples)
    assert last <= counts["messages"]
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_a_missing_device_is_waited_for_and_its_coming_and_going_is_reported_once(agent, start, line):
    port = free_port()
    line.unplug()
    agent.set_config("device", {"serial": {"port": str(line.path)}, "http": {"port": port}})
    async with receiving(agent) as receiver:
        service = await start("gps_receiver", **environment(agent))
        text = await until_page(port, "/readyz", lambda status, text: status == 503 and '"failed"' in text)
        assert json.loads(text)["device"]["state"] == "failed"
        assert "not found" in text
        assert (await page(port, "/healthz"))[0] == 200
        await until(lambda: receiver.samples)
        assert {(r.value, r.quality.value) for r in receiver.samples[0]} == {(None, "bad")}

        line.replug()
        await until(lambda: opened(service, line))
        await line.send(b"".join(GpsEmulator().epoch(0, 1.7e9)))
        await until_page(port, "/readyz", lambda status, _: status == 200)
        await until(lambda: service.logged("readings come again"))
        line.unplug()
        await until_page(port, "/readyz", lambda status, _: status == 503)
        line.replug()
        await until(lambda: opened(service, line))
        await line.send(b"".join(GpsEmulator().epoch(0, 1.7e9)))
        await until(lambda: len(service.logged("readings come again")) == 2)
        await until_page(port, "/readyz", lambda status, _: status == 200)
        metrics = await until_page(port, "/metrics", lambda _, text: everything_is_delivered(text))
        assert metric(metrics, "bridge_device_sentences_total") > 0
        assert (await page(port, "/nothing"))[0] == 404
    assert await service.stop() == 0
    assert len(service.logged("trying again until it works")) == 2
    assert len(service.logged("readings come again")) == 2


async def test_settings_change_without_a_restart_and_bad_ones_are_refused(agent, start, line):
    port = free_port()
    good = {"serial": {"port": str(line.path)}, "http": {"port": port}}
    agent.set_config("device", good)
    async with receiving(agent) as receiver:
        service = await start("gps_receiver", **environment(agent))
        await until(lambda: opened(service, line))
        agent.set_config("device", {**good, "source": "truck-7"})
        await until(lambda: service.logged("new settings applied"))
        await until(lambda: opened(service, line))
        await line.send(encode("GPVTG,054.7,T,,M,005.5,N,010.2,K"))
        await until(lambda: receiver.samples)
        assert receiver.samples[0][0].name == "truck-7:speed"

        agent.set_config("device", {**good, "serial": {"port": str(line.path), "bauds": 9600}})
        await until(lambda: service.logged("refused"))
        assert "Did you mean baud?" in service.logged("refused")[0]["message"]
        refused = json.loads(await until_page(port, "/readyz", lambda status, text: "bauds" in text))
        assert refused["ready"]
        await line.send(encode("GPVTG,054.7,T,,M,005.5,N,010.2,K"))
        await until(lambda: len(receiver.samples) == 2)
        assert receiver.samples[1][0].name == "truck-7:speed"

        agent.set_config("device", {**good, "serial": {"port": "/"}})
        await until(lambda: len(service.logged("refused")) == 2)
        assert "is a directory" in service.logged("refused")[1]["message"]
        await until(lambda: opened(service, line))
    assert await service.stop() == 0


BAD = [
    ({}, "setting serial: is required. Write an object with baud"),
    ({"serial": {}}, "setting serial.port: is required."),
    ({"serial": {"port": "/dev/null", "bauds": 1}}, "setting serial.bauds = 1 (from ioFog config): unknown setting."),
    ({"serial": {"port": "/dev/null", "baud": "fast"}}, "setting serial.baud = 'fast' (from ioFog config): expected"),
    ({"serial": {"port": "/dev"}}, "setting serial.port = '/dev': is a directory."),
    ("[", "setting config (from ioFog config): is not JSON"),
]


@pytest.mark.parametrize(("config", "message"), BAD)
async def test_bad_settings_at_the_start_are_named(agent, config, message):
    agent.set_config("device", config)
    sources = SettingsSources(GpsReceiver.settings_type, file=None, environment={})
    with pytest.raises(SettingsError) as refused:
        await Runtime(GpsReceiver, sources, connect(environment(agent))).run()
    assert message in str(refused.value)


async def test_bad_settings_end_a_service_with_one_line_and_status_78(agent, start):
    agent.set_config("device", {"serial": {"port": "/dev"}})
    service = await start("gps_receiver", **environment(agent))
    assert await service.wait() == 78
    (error,) = [entry for entry in service.lines if entry["level"] == "error"]
    assert "setting serial.port = '/dev': is a directory." in error["message"]


async def test_no_permission_names_the_group_and_is_tried_again(agent, start, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("another user than root, who may open everything")
    denied = tmp_path / "tty"
    with SimulatedSerialLine(denied) as simulated:
        simulated.path.chmod(0)
        group = simulated.path.stat().st_gid
        agent.set_config("device", {"serial": {"port": str(denied)}})
        service = await start("gps_receiver", **environment(agent))
        await until(lambda: service.logged(f"group {group}"))
        assert await service.stop() == 0


async def test_without_an_agent_local_settings_are_enough(start, line, tmp_path):
    settings = tmp_path / "gps.toml"
    settings.write_text(f'source = "here"\n[serial]\nport = "{line.path}"\n')
    service = await start("gps_receiver", "--settings", str(settings), IOFOG_LINK="console:")
    await until(lambda: opened(service, line))
    assert await service.stop() == 0


async def test_an_end_under_load_keeps_everything_for_the_next_start(agent, start, line, tmp_path):
    agent.set_config("device", {"serial": {"port": str(line.path)}, "outbox": {"directory": str(tmp_path / "state")}})
    service = await start("gps_receiver", **environment(agent))
    await until(lambda: opened(service, line))
    agent.faults.hang = True
    await line.send(b"".join(GpsEmulator().epoch(n, 1.7e9)[1] for n in range(300)))
    assert await service.stop() == 0
    counts = service.counts
    assert counts["read"] == counts["delivered"] + counts["buffered"]
    assert counts["buffered"] > 0
    agent.faults.hang = False
    agent.drop_connections()
    async with receiving(agent) as receiver:
        again = await start("gps_receiver", **environment(agent))
        await until(lambda: sum(map(len, receiver.samples)) >= counts["buffered"])
        assert await again.stop() == 0
    assert again.counts["buffered"] == 0
