"""mqtt_bridge as a process of its own, between an agent and real brokers: NATS's (3.1.1) and Mosquitto (5)."""

import asyncio
import contextlib
import json
import time

import pytest

from device_bridge import Quality
from device_bridge.messages import senml
from device_bridge.messages.maker import RESULT_TYPE
from iofog_sdk import IoMessage, connect
from iofog_sdk.mqtt.connection import MqttConnection
from iofog_sdk.mqtt.messages import Publication
from iofog_sdk.mqtt.options import MqttOptions
from local_agent import AgentConfig, Listen, LocalAgent, Microservice, Route
from local_agent.nats_server import NatsServer
from local_agent.ports import free_port
from mqtt_bridge.emulator import MqttPlug, settings_for

from .conftest import environment, until, until_page
from .nodes import MosquittoNode, MqttNode, is_here
from .test_mqtt_link import MOSQUITTO, needs_mosquitto, seen

BROKERS = {"nats": MqttNode, "mosquitto": MosquittoNode}
RULES = {
    "to_mqtt": [{"topic": "plant/{source}", "retain": True}],
    "to_iofog": [{"topic": "tele/+/level", "payload": "value", "prefix": "{1}/"}],
}


@contextlib.asynccontextmanager
async def broker(kind, folder):
    if not is_here(kind):
        pytest.skip(MOSQUITTO)
    folder.mkdir()
    async with BROKERS[kind](folder) as node:
        yield node


@contextlib.asynccontextmanager
async def agent_with(*more, **configs):
    """Microservices `gps`, `bridge` and `viewer`: messages go from the first to the second and on to the third."""
    names = ("gps", "bridge", "viewer")
    routes = [("gps", "bridge"), ("bridge", "viewer"), ("viewer", "bridge"), *more]
    config = AgentConfig(
        listen=Listen(port=0),
        microservices={name: Microservice(config=configs.get(name)) for name in {*names, *configs}},
        routes=[Route(source=one, to=other) for one, other in routes],
    )
    async with LocalAgent(config) as agent:
        yield agent


def settings(node, **more):
    http = free_port()
    where = {"host": "127.0.0.1", "port": node.relay.port, "version": node.version, "answer_timeout": 1}
    return {"broker": where, "http": {"port": http}, **RULES, **more}


class Heard:
    """What a microservice receives."""

    def __init__(self, link):
        self.link, self.messages = link, []

    async def listen(self):
        async for message in self.link.messages():
            self.messages.append(message)

    def values(self, name):
        packs = [senml.decode(m.contentdata) for m in self.messages if m.infotype == senml.INFO_TYPE]
        return [reading.value for pack in packs for reading in pack if reading.name == name]

    def results(self):
        return [json.loads(m.contentdata) for m in self.messages if m.infotype == RESULT_TYPE]


@contextlib.asynccontextmanager
async def hearing(link):
    async with link:
        await link.wait_connected()
        heard = Heard(link)
        task = asyncio.ensure_future(heard.listen())
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def linked(agent, name):
    return hearing(connect(environment(agent, name)))


def listener(node, topics):
    """Whoever is interested in these topics."""
    link = f"mqtt://127.0.0.1:{node.server_port}?version={node.version}&receive={topics}&status="
    return hearing(connect({"IOFOG_LINK": link, "IOFOG_MICROSERVICE": "listener"}))


def speaker(node, topic):
    """Whoever publishes what it sends on this topic."""
    link = f"mqtt://127.0.0.1:{node.server_port}?version={node.version}&results={topic}&status=&commands=unused/x"
    return connect({"IOFOG_LINK": link, "IOFOG_MICROSERVICE": "speaker"})


@contextlib.asynccontextmanager
async def client(node, name="client", take=lambda received: received.acknowledge()):
    """A connection of whoever else uses the broker."""
    where = {"server": "mqtt://broker", "port": node.server_port, "version": node.version}
    options = MqttOptions(client_id=name, status="", session_s=0, max_payload=1 << 24, **where)
    connection = MqttConnection(options, asyncio.get_running_loop().create_future(), take)
    await connection.open()
    try:
        yield connection
    finally:
        await connection.close()


async def published(connection, *publications):
    answered = asyncio.get_running_loop().create_future()
    connection.publish(publications, answered.set_result)
    return await asyncio.wait_for(answered, 60)


def pack(number, source="gps"):
    content = json.dumps([{"bn": f"{source}:", "bt": 1.7e9, "n": "speed", "u": "m/s", "v": number}]).encode()
    return IoMessage(
        groupid="drive", sequencenumber=number, infotype=senml.INFO_TYPE, infoformat="utf-8", contentdata=content
    )


def plain(text):
    return IoMessage(infotype="text/plain", infoformat="utf-8", contentdata=text.encode())


async def ready(port):
    return await until_page(port, "/readyz", lambda status, _: status == 200)


@pytest.mark.parametrize("kind", BROKERS)
async def test_both_ways(kind, start, tmp_path):
    async with broker(kind, tmp_path / "broker") as node, agent_with() as agent:
        told = settings(node)
        agent.set_config("bridge", told)
        async with listener(node, "plant/gps") as topics, linked(agent, "viewer") as viewer:
            service = await start("mqtt_bridge", **environment(agent, "bridge"))
            await ready(told["http"]["port"])
            async with connect(environment(agent, "gps")) as gps, speaker(node, "tele/tank/level") as tank:
                await asyncio.gather(gps.wait_connected(), tank.wait_connected())
                for number in range(1, 51):
                    await gps.send(pack(number))
                    await tank.send(plain(str(number)))
                await until(lambda: len(topics.messages) >= 50)
                await until(lambda: len(viewer.values("mqtt_bridge:tank/level")) >= 50)
            assert [message.sequencenumber for message in topics.messages] == list(range(1, 51))
            assert viewer.values("mqtt_bridge:tank/level") == list(range(1, 51))
            delivered = "bridge_incoming_delivered_total 50"
            text = await until_page(told["http"]["port"], "/metrics", lambda _, text: delivered in text)
            assert 'bridge_incoming_dropped_total{reason="outbox full"} 0' in text
            assert await service.stop() == 0


@pytest.mark.parametrize("kind", BROKERS)
async def test_a_broker_that_is_gone_for_a_while_costs_nothing(kind, start, tmp_path):
    async with broker(kind, tmp_path / "broker") as node, agent_with() as agent:
        told = settings(node, to_mqtt=[{"topic": "plant/{source}"}])  # a retained one would come out of its turn
        agent.set_config("bridge", told)
        variables = environment(agent, "bridge") | {"STATE_DIRECTORY": str(tmp_path)}
        async with connect(environment(agent, "gps")) as gps:
            await gps.wait_connected()
            service = await start("mqtt_bridge", **variables)
            await ready(told["http"]["port"])
            async with listener(node, "plant/gps"):
                pass  # its session stays
            for number in range(1, 21):
                await gps.send(pack(number))
            await node.begin("refuse")
            for number in range(21, 101):
                await gps.send(pack(number))
            await until_page(told["http"]["port"], "/readyz", lambda _, text: '"state":"failed"' in text)
            await until_page(told["http"]["port"], "/metrics", lambda _, text: "received_total 100" in text)
            assert await service.stop() == 0
            assert service.logged("trying again until it works")
            service = await start("mqtt_bridge", **variables)
            await until(lambda: service.logged("started"))
            for number in range(101, 121):
                await gps.send(pack(number))
            await node.end("refuse")
            async with listener(node, "plant/gps") as topics:
                await until(lambda: {m.sequencenumber for m in topics.messages} >= set(range(1, 121)), 150)
            assert await service.stop() == 0
        numbers = list(dict.fromkeys(message.sequencenumber for message in topics.messages))
        assert numbers == sorted(numbers)


async def test_an_agent_that_is_gone_for_a_while_costs_nothing(start, tmp_path):
    async with broker("nats", tmp_path / "broker") as node:
        port = free_port()
        told = settings(node)
        file = tmp_path / "settings.json"
        file.write_text(json.dumps(told))
        config = AgentConfig(
            listen=Listen(port=port),
            microservices={"bridge": Microservice(), "viewer": Microservice()},
            routes=[Route(source="bridge", to="viewer")],
        )
        variables = {"SELFNAME": config.id_of("bridge"), "IOFOG_LINK": f"agent://127.0.0.1:{port}"}
        await start("mqtt_bridge", "--settings", str(file), **variables)
        await until_page(told["http"]["port"], "/readyz", lambda _, text: '"state":"open"' in text)
        async with speaker(node, "tele/tank/level") as tank:
            await tank.wait_connected()
            for number in range(1, 101):
                await tank.send(plain(str(number)))
        async with LocalAgent(config) as agent, linked(agent, "viewer") as viewer:
            await until(lambda: len(viewer.values("mqtt_bridge:tank/level")) >= 100)
            assert viewer.values("mqtt_bridge:tank/level") == list(range(1, 101))


async def test_a_command_switches_a_plug_and_its_answer_is_a_reading(start, tmp_path):
    async with NatsServer(tmp_path / "broker", mqtt=True) as server, agent_with() as agent:
        plug = MqttPlug(server.mqtt_port, interval_s=0.1)
        playing = asyncio.ensure_future(plug.run())
        agent.set_config("bridge", settings_for(server.mqtt_port))
        async with linked(agent, "viewer") as viewer:
            service = await start("mqtt_bridge", **environment(agent, "bridge"))
            await until(lambda: viewer.values("mqtt_bridge:plug/power"))
            command = {"command": "power", "value": False, "id": "c1"}
            await viewer.link.send(IoMessage(infotype=RESULT_TYPE, contentdata=json.dumps(command).encode()))
            result = (await until(viewer.results))[0]
            assert (result["id"], result["ok"], result["detail"]) == ("c1", True, "published on cmnd/plug/POWER")
            await until(lambda: viewer.values("mqtt_bridge:plug/relay")[-1:] == [False])
            assert not plug.relay
            await until(lambda: viewer.values("mqtt_bridge:plug/power")[-1] == 0)
            assert await service.stop() == 0
            counts = service.counts
            assert counts["dropped"] == counts["buffered"] == 0
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


async def test_what_was_measured_is_bad_when_the_broker_is_gone(start, tmp_path):
    async with broker("nats", tmp_path / "broker") as node, agent_with() as agent:
        told = settings(node)
        agent.set_config("bridge", told)
        async with linked(agent, "viewer") as viewer, speaker(node, "tele/tank/level") as tank:
            service = await start("mqtt_bridge", **environment(agent, "bridge"))
            await asyncio.gather(ready(told["http"]["port"]), tank.wait_connected())
            await tank.send(plain("7"))
            await until(lambda: viewer.values("mqtt_bridge:tank/level") == [7])
            await node.begin("refuse")
            await until(lambda: viewer.values("mqtt_bridge:tank/level") == [7, None])
            (bad,) = senml.decode(viewer.messages[-1].contentdata)
            assert bad.quality is Quality.BAD
            assert "gone" in bad.reason
            await node.end("refuse")
            await until(lambda: service.logged("is up")[1:])
            await tank.send(plain("8"))
            await until(lambda: viewer.values("mqtt_bridge:tank/level")[-1] == 8)


@needs_mosquitto
async def test_status_and_home_assistant_as_others_see_them(start, tmp_path):
    rules = {
        "to_mqtt": [{"topic": "plant/{source}/{quantity}", "payload": "json", "retain": True}],
        "discovery": {"prefix": "homeassistant"},
        "status": "plant/bridge",
    }
    async with broker("mosquitto", tmp_path / "broker") as node, agent_with() as agent:
        told = settings(node) | rules
        agent.set_config("bridge", told)
        async with connect(environment(agent, "gps")) as gps:
            service = await start("mqtt_bridge", **environment(agent, "bridge"))
            await asyncio.gather(ready(told["http"]["port"]), gps.wait_connected())
            port = node.server_port
            assert await seen(port, "-t", "plant/bridge") == [("plant/bridge", "online")]
            await gps.send(pack(1))
            ((_, config),) = await seen(port, "-t", "homeassistant/sensor/gps/speed/config")
            config = json.loads(config)
            assert (config["unit_of_measurement"], config["availability_topic"]) == ("m/s", "plant/bridge")
            ((_, payload),) = await seen(port, "-t", config["state_topic"])
            assert json.loads(payload)["value"] == 1
            async with (
                listener(node, "homeassistant/sensor/%23") as home,
                speaker(node, "homeassistant/status") as ha,
            ):
                await ha.wait_connected()
                await until(lambda: home.messages)
                before = len(home.messages)
                await ha.send(plain("online"))
                text = ""
                for number in range(2, 100):
                    await gps.send(pack(number))
                    if len(home.messages) > before:
                        text = home.messages[-1].contentdata
                        break
                    await asyncio.sleep(0.05)  # until the broker has passed `online` on
                assert json.loads(text) == config
            assert await service.stop(9) == -9
            while await seen(port, "-t", "plant/bridge") != [("plant/bridge", "offline")]:
                pass


@needs_mosquitto
async def test_a_wrong_password_is_said_and_a_right_one_taken_when_it_comes(start, tmp_path):
    users, word = tmp_path / "users", tmp_path / "password"
    word.write_text("wrong")
    done = await asyncio.create_subprocess_exec("mosquitto_passwd", "-b", "-c", str(users), "bridge", "secret")
    await done.wait()
    (tmp_path / "broker").mkdir()
    node = MosquittoNode(tmp_path / "broker")
    node.more = f"password_file {users}\nallow_anonymous false\n"
    async with node, agent_with() as agent:
        told = settings(node)
        told["broker"] |= {"user": "bridge", "password_file": str(word)}
        agent.set_config("bridge", told)
        service = await start("mqtt_bridge", **environment(agent, "bridge"))
        reason = f"mqtt://127.0.0.1:{node.relay.port}: unreachable: refuses user bridge"
        await until_page(told["http"]["port"], "/readyz", lambda _, text: reason in text)
        word.write_text("secret\n")
        await ready(told["http"]["port"])
        assert len(service.logged("refuses user bridge")) == 1
        assert not service.logged("secret")
        assert await service.stop() == 0


@needs_mosquitto
async def test_messages_do_not_go_round(start, tmp_path):
    """Two bridges that each publish all they hear, and hear all that is published."""
    rules = {
        "to_mqtt": [{"topic": "all/{source}"}],
        "to_iofog": [{"topic": "all/+", "payload": "senml"}],
    }
    async with (
        broker("mosquitto", tmp_path / "broker") as node,
        agent_with(("bridge", "other"), ("other", "bridge"), ("bridge", "bridge"), other=None) as agent,
    ):
        ports = []
        for name in ("bridge", "other"):
            told = settings(node) | rules
            agent.set_config(name, told)
            ports.append(told["http"]["port"])
        async with listener(node, "all/%23") as topics:
            for name in ("bridge", "other"):
                await start("mqtt_bridge", **environment(agent, name))
            for port in ports:
                await ready(port)
            async with connect(environment(agent, "gps")) as gps:
                await gps.wait_connected()
                for number in range(1, 11):
                    await gps.send(pack(number))
                await until(lambda: len(topics.messages) >= 10)
                # gps -> bridge -> topic -> other -> bridge, which knows that it has had it
                looped = "bridge_device_to_mqtt_loops_total 10"
                await until_page(ports[0], "/metrics", lambda _, text: looped in text)
            assert len(topics.messages) == 10


async def test_a_topic_commands_a_microservice_where_there_are_no_routes(start, tmp_path):
    rules = {"to_iofog": [{"topic": "set/+/+", "becomes": "command", "command": "{2}", "to": "{1}"}]}
    async with broker("nats", tmp_path / "broker") as node, NatsServer(tmp_path / "node") as server:
        file = tmp_path / "settings.json"
        told = settings(node) | {"to_mqtt": []} | rules
        file.write_text(json.dumps(told))
        variables = {"IOFOG_LINK": server.url, "IOFOG_APPLICATION": "plant", "IOFOG_MICROSERVICE": "bridge"}
        relays = connect(variables | {"IOFOG_MICROSERVICE": "relays"})
        async with hearing(relays) as heard, speaker(node, "set/relays/lamp") as panel:
            await start("mqtt_bridge", "--settings", str(file), **variables)
            await asyncio.gather(ready(told["http"]["port"]), panel.wait_connected())
            await panel.send(plain("true"))
            await until(lambda: heard.messages)
            command = json.loads(heard.messages[0].contentdata)
            assert (command["command"], command["value"]) == ("lamp", True)
            assert abs(command["time"] - time.time()) < 60


async def test_readings_of_an_application_are_heard_where_there_are_no_routes(start, tmp_path):
    async with broker("nats", tmp_path / "broker") as node, NatsServer(tmp_path / "node") as server:
        file = tmp_path / "settings.json"
        told = settings(node)
        file.write_text(json.dumps(told))
        variables = {"IOFOG_LINK": server.url, "IOFOG_APPLICATION": "plant", "IOFOG_MICROSERVICE": "bridge"}
        received = {"IOFOG_RECEIVE": "iofog.readings.{application}.*"}
        async with (
            listener(node, "plant/gps") as topics,
            connect(variables | {"IOFOG_MICROSERVICE": "gps"}) as gps,
            speaker(node, "tele/tank/level") as tank,
        ):
            await start("mqtt_bridge", "--settings", str(file), **variables, **received)
            await asyncio.gather(ready(told["http"]["port"]), gps.wait_connected(), tank.wait_connected())
            await tank.send(plain("7"))  # becomes a reading of the bridge, which it hears itself and keeps to itself
            for number in range(1, 11):
                await gps.send(pack(number))
            await until(lambda: len(topics.messages) >= 10)
            own = 'bridge_incoming_ignored_total{reason="own"} 1'
            await until_page(told["http"]["port"], "/metrics", lambda _, text: own in text)
        assert [message.sequencenumber for message in topics.messages] == list(range(1, 11))


@needs_mosquitto
async def test_nothing_that_anybody_publishes_stops_what_follows(start, tmp_path):
    """Each of these would come again on each new connection, and keep all that is behind it."""
    huge = b"1" + b"0" * 400
    rules = {
        "to_iofog": [
            {"topic": "tele/+/level", "payload": "value", "prefix": "{1}/"},
            {"topic": "json/+", "fields": [{"name": "a"}]},
            {"topic": "set/+/+", "becomes": "command", "to": "{1}", "command": "{2}"},
        ]
    }
    async with broker("mosquitto", tmp_path / "broker") as node, agent_with() as agent:
        told = settings(node) | rules
        agent.set_config("bridge", told)
        async with linked(agent, "viewer") as viewer, client(node) as peer:
            service = await start("mqtt_bridge", **environment(agent, "bridge"))
            await ready(told["http"]["port"])
            await published(
                peer,
                *(
                    Publication("tele/tank/level", b"1", user_properties=(("iofog-via", name),))
                    for name in ("my bridge", "a:b", "x" * 200, "")
                ),
                *(Publication(f"set/{level}/lamp", b"ON") for level in ("a:b", "a:b", "x" * 200)),
                *(Publication(f"json/{place}", b'{"a":%b}' % huge) for place in "xy"),
                Publication("json/x", b'{"a":"\xff"}'),
                Publication("tele/tank/level", b"2"),
            )
            await until(lambda: viewer.values("mqtt_bridge:tank/level")[-1:] == [2])
            assert viewer.values("mqtt_bridge:tank/level") == [1, 1, 1, 1, 2]
        assert len(service.logged(f"MQTT {node.version} at")) == 1
        assert len(service.logged("a message on set/a:b/lamp is not what the settings say")) == 1
        assert not service.logged("unexpected error")
        assert await service.stop() == 0


async def test_nothing_that_the_node_sends_stops_what_follows(start, tmp_path):
    huge = b"1" + b"0" * 400
    async with broker("nats", tmp_path / "broker") as node, agent_with() as agent:
        told = settings(node, commands={"c": {"topic": "c"}})
        agent.set_config("bridge", told)
        async with listener(node, "plant/gps") as topics, connect(environment(agent, "gps")) as gps:
            service = await start("mqtt_bridge", **environment(agent, "bridge"))
            await asyncio.gather(ready(told["http"]["port"]), gps.wait_connected())
            for content in (
                b'{"command":"\xff"}',
                b'{"command":"c","time":%b}' % huge,
                b'{"command":"c","x":"\xff"}',
            ):
                await gps.send(IoMessage(infotype=RESULT_TYPE, contentdata=content))
            content = b'[{"n":"a","bv":0.5,"v":%b}]' % huge
            await gps.send(IoMessage(infotype=senml.INFO_TYPE, contentdata=content))
            await gps.send(pack(1))
            await until(lambda: topics.messages)
            assert service.process.returncode is None
            assert await service.stop() == 0
        assert len(service.logged(f"MQTT {node.version} at")) == 1


@needs_mosquitto
async def test_a_command_does_not_go_round(start, tmp_path):
    """One bridge publishes a command where another takes commands for it."""
    rules = {
        "bridge": {"to_mqtt": [], "to_iofog": [], "commands": {"lamp": {"topic": "set/a/lamp"}}},
        "other": {
            "to_mqtt": [],
            "to_iofog": [{"topic": "set/+/+", "becomes": "command", "command": "{2}", "to": "{1}"}],
        },
    }
    async with (
        broker("mosquitto", tmp_path / "broker") as node,
        agent_with(("other", "bridge"), other=None) as agent,
        listener(node, "set/%23") as topics,
        linked(agent, "viewer") as viewer,
    ):
        for name in ("bridge", "other"):
            told = settings(node) | rules[name]
            agent.set_config(name, told)
            await start("mqtt_bridge", **environment(agent, name))
            await ready(told["http"]["port"])
        command = {"command": "lamp", "value": True}
        await viewer.link.send(IoMessage(infotype=RESULT_TYPE, contentdata=json.dumps(command).encode()))
        await until(lambda: len(viewer.results()) == 2)
        assert [result["ok"] for result in viewer.results()] == [True, False]
        assert "lamp goes round: it has been through default-" in viewer.results()[1]["detail"]
        assert len(topics.messages) == 1


@needs_mosquitto
async def test_a_topic_that_the_broker_denies_costs_its_own_messages_and_no_others(start, tmp_path):
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite #\ntopic deny plant/secret\ntopic deny set/secret\n")
    (tmp_path / "broker").mkdir()
    node = MosquittoNode(tmp_path / "broker")
    # Without a limit, Mosquitto 2.0.11 takes its queue for full on each refusal and closes the connection.
    node.more = f"acl_file {rules}\nmax_queued_messages 1000\n"
    async with node, agent_with() as agent:
        told = settings(node, commands={"lamp": {"topic": "set/secret"}})
        agent.set_config("bridge", told)
        async with (
            listener(node, "plant/gps") as topics,
            linked(agent, "viewer") as viewer,
            client(node) as peer,
            connect(environment(agent, "gps")) as gps,
        ):
            service = await start("mqtt_bridge", **environment(agent, "bridge"))
            await asyncio.gather(ready(told["http"]["port"]), gps.wait_connected())
            await published(peer, Publication("tele/tank/level", b"7"))
            for number in range(1, 21):
                await gps.send(pack(number, "secret"))
                await gps.send(pack(number))
            await until(lambda: len(topics.messages) >= 20)
            assert [message.sequencenumber for message in topics.messages] == list(range(1, 21))
            for line in (
                'bridge_incoming_dropped_total{reason="refused"} 20',
                "bridge_incoming_delivered_total 20",
                "bridge_incoming_received_total 40",
            ):
                await until_page(told["http"]["port"], "/metrics", lambda _, text, line=line: f"{line}\n" in text)
            command = json.dumps({"command": "lamp", "value": True}).encode()
            await viewer.link.send(IoMessage(infotype=RESULT_TYPE, contentdata=command))
            (result,) = await until(viewer.results)
            assert not result["ok"]
            assert "set/secret is refused: Not authorized" in result["detail"]
            await published(peer, Publication("tele/tank/level", b"8"))
            await until(lambda: viewer.values("mqtt_bridge:tank/level")[-1:] == [8])
            assert viewer.values("mqtt_bridge:tank/level") == [7, 8], "no bad readings"
        assert len(service.logged("plant/secret is refused: Not authorized")) == 1
        assert len(service.logged(f"MQTT {node.version} at")) == 1
        assert await service.stop() == 0
