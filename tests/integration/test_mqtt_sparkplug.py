"""mqtt_bridge as an edge node of Sparkplug B, at a broker; payloads are also read by Eclipse Tahu's own library."""

import json
import shutil
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from iofog_sdk import connect
from iofog_sdk.mqtt.messages import Publication
from mqtt_bridge.sparkplug.schema import decode, message_type

from .conftest import environment, until
from .test_mqtt_bridge import agent_with, broker, client, pack, published, ready, settings
from .test_mqtt_link import needs_mosquitto

FOLDER = Path(__file__).parents[1] / "nodejs"
needs_tahu = pytest.mark.skipif(
    not shutil.which("node") or not (FOLDER / "node_modules/sparkplug-payload").is_dir(),
    reason="apt-get install npm && npm ci --prefix tests/nodejs (the official Node.js SDK)",
)


@asynccontextmanager
async def host(node):
    """A host application: keeps what edge nodes of the group say, and can speak to them."""
    heard = []

    def take(received):
        heard.append((received.topic.removeprefix("spBv1.0/plant/"), received.payload))
        received.acknowledge()

    async with client(node, "host", take) as connection:
        await connection.subscribe(["spBv1.0/plant/#"])
        yield heard, connection


def metric(payload, name):
    found = next(each for each in decode(payload).metrics if each.name == name)
    return getattr(found, found.WhichOneof("value"))


def kinds(heard):
    return [topic for topic, _ in heard]


@needs_mosquitto
async def test_a_host_learns_of_births_data_and_deaths_in_order(start, tmp_path):
    async with broker("mosquitto", tmp_path / "broker") as node, agent_with() as agent, host(node) as (heard, peer):
        told = settings(node, sparkplug={"group": "plant", "edge_node": "edge-1"}, to_mqtt=[])
        told["broker"] |= {"session": 0, "answer_timeout": 60}
        agent.set_config("bridge", told)
        service = await start("mqtt_bridge", **environment(agent, "bridge"))
        await ready(told["http"]["port"])
        async with connect(environment(agent, "gps")) as gps:
            await gps.wait_connected()
            for number in range(1, 4):
                await gps.send(pack(number))
            await until(lambda: len(heard) >= 4)
            expected = ["NBIRTH/edge-1", "DBIRTH/edge-1/gps", "DDATA/edge-1/gps", "DDATA/edge-1/gps"]
            assert kinds(heard) == expected
            assert [decode(payload).seq for _, payload in heard] == [0, 1, 2, 3]
            assert [metric(payload, "speed") for _, payload in heard[1:]] == [1, 2, 3]

            wish = message_type("Payload")()
            wish.metrics.add(name="Node Control/Rebirth", datatype=11, boolean_value=True)
            await published(peer, Publication("spBv1.0/plant/NCMD/edge-1", wish.SerializeToString()))
            await until(lambda: len(heard) >= 7)
            assert kinds(heard)[4:] == ["NCMD/edge-1", "NBIRTH/edge-1", "DBIRTH/edge-1/gps"]
            assert [decode(payload).seq for _, payload in heard[5:]] == [0, 1]
            assert metric(heard[6][1], "speed") == 3

            node.relay.drop()  # the broker publishes the last will; the bridge comes back by itself
            await until(lambda: kinds(heard).count("NBIRTH/edge-1") == 3)
            await until(lambda: kinds(heard)[-1] == "DBIRTH/edge-1/gps")
            assert sorted(kinds(heard)[7:]) == ["DBIRTH/edge-1/gps", "NBIRTH/edge-1", "NDEATH/edge-1"]
            numbers = {topic: metric(each, "bdSeq") for topic, each in heard[7:] if not topic.startswith("D")}
            assert numbers["NDEATH/edge-1"] == metric(heard[0][1], "bdSeq")
            assert numbers["NBIRTH/edge-1"] == (numbers["NDEATH/edge-1"] + 1) % 256
        assert await service.stop() == 0
        await until(lambda: kinds(heard)[-1] == "NDEATH/edge-1")
        assert metric(heard[-1][1], "bdSeq") == numbers["NBIRTH/edge-1"]


@needs_tahu
def test_tahus_own_library_reads_what_is_written_and_is_read():
    payload = message_type("Payload")(timestamp=1_800_000_000_000, seq=7)
    speed = payload.metrics.add(name="speed", datatype=10, timestamp=1_800_000_000_000, double_value=1.5)
    speed.properties.keys.extend(["Quality", "engUnit"])
    speed.properties.values.add(type=3, int_value=192)
    speed.properties.values.add(type=12, string_value="m/s")
    payload.metrics.add(name="count", datatype=4, long_value=2**64 - 5)
    payload.metrics.add(name="open", datatype=11, boolean_value=True, is_historical=True)
    payload.metrics.add(name="text", datatype=12, is_null=True)
    done = subprocess.run(
        [shutil.which("node"), str(FOLDER / "sparkplug.js")],
        input=payload.SerializeToString().hex(),
        capture_output=True,
        text=True,
        check=True,
    )
    read = json.loads(done.stdout)
    speed, count, is_open, text = read["decoded"]["metrics"]
    assert (read["decoded"]["seq"], read["decoded"]["timestamp"]) == (7, 1_800_000_000_000)
    assert (speed["name"], speed["type"], speed["value"], speed["timestamp"]) == ("speed", "Double", 1.5, 1.8e12)
    assert {name: each["value"] for name, each in speed["properties"].items()} == {"Quality": 192, "engUnit": "m/s"}
    assert (count["type"], int(count["value"]) % 2**64) == ("Int64", 2**64 - 5)
    assert (is_open["type"], is_open["value"], is_open["isHistorical"]) == ("Boolean", True, True)
    assert (text["type"], text["value"]) == ("String", None)
    (wish,) = decode(bytes.fromhex(read["encoded"])).metrics
    assert (wish.name, wish.datatype, wish.boolean_value) == ("Node Control/Rebirth", 11, True)
