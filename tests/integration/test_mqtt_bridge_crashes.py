"""SIGKILL to mqtt_bridge at random points: with durability `always` what it has been handed over still arrives."""

import asyncio
import contextlib
import json
import os
import random

import pytest

from iofog_sdk.mqtt.messages import Publication

from ..campaign import SEED, budget
from .conftest import environment, until
from .nodes import MosquittoNode
from .test_mqtt_bridge import agent_with, client, linked, ready, settings
from .test_mqtt_link import needs_mosquitto

KILLS = int(os.environ.get("KILLS", budget(3, 30)))
PACK = b'[{"run":"drive","seq":%d,"n":"level","u":"l","v":%d}]'


class Publishing:
    """Publishes numbers as fast as the broker takes them.

    Parameters:
        connection: to it.
        topic: where to.
        payload: what is published for a number.
        may_go_on: whether more may be published.
    """

    def __init__(self, connection, topic, payload, may_go_on=lambda _: True):
        self._connection, self._topic, self._payload = connection, topic, payload
        self._may_go_on = may_go_on
        self.last = 0
        self._answered = asyncio.Event()

    async def run(self):
        while True:
            self._answered.clear()
            group = range(self.last + 1, self.last + 51)
            publications = [Publication(self._topic, self._payload(number)) for number in group]
            self._connection.publish(publications, lambda _: self._answered.set())
            await self._answered.wait()
            self.last = group[-1]
            await until(lambda: self._may_go_on(self.last))


@contextlib.asynccontextmanager
async def quick(folder):
    """A broker that is not killed itself, and so need not write its whole file for each message."""
    folder.mkdir()
    node = MosquittoNode(folder)
    node.more = "autosave_on_changes false\n"
    async with node:
        yield node


async def killed(begin, publishing, arrived):
    """Kills a service again and again while messages are published; the one that goes on then."""
    print(f"SEED={SEED} KILLS={KILLS}")
    rng, writing = random.Random(SEED), None
    for _ in range(KILLS):
        service = await begin()
        writing = writing or asyncio.ensure_future(publishing.run())
        before = len(arrived)
        await until(lambda before=before: len(arrived) > before + 20)
        await asyncio.sleep(rng.random() * 0.1)  # the moment of the kill is what is random here
        assert await service.stop(9) == -9
    service = await begin()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    return service


def assert_all(publishing, values):
    missing = set(range(1, publishing.last + 1)) - set(values)
    print(f"{publishing.last} published, {len(values)} arrived")
    assert not missing, f"{len(missing)} of {publishing.last} are lost, SEED={SEED}: {sorted(missing)[:20]}"


@needs_mosquitto
@pytest.mark.campaign
@pytest.mark.timeout(600)
async def test_what_the_broker_has_handed_over_is_not_lost(start, tmp_path):
    async with (
        quick(tmp_path / "broker") as node,
        agent_with() as agent,
        linked(agent, "viewer") as viewer,
        client(node) as peer,
    ):
        config = settings(node, to_mqtt=[], outbox={"durability": "always"})
        agent.set_config("bridge", config)
        variables = environment(agent, "bridge") | {"STATE_DIRECTORY": str(tmp_path)}

        async def begin():
            service = await start("mqtt_bridge", **variables)
            await ready(config["http"]["port"])
            return service

        # Mosquitto 2 has been seen to lose some of a long queue when the subscriber comes back.
        def keeps_up(last):
            return last - max(viewer.values("mqtt_bridge:tank/level"), default=0) < 200

        publishing = Publishing(peer, "tele/tank/level", lambda number: b"%d" % number, keeps_up)
        service = await killed(begin, publishing, viewer.messages)
        await until(lambda: viewer.values("mqtt_bridge:tank/level")[-1] >= publishing.last, 150)
        assert await service.stop() == 0
    assert_all(publishing, viewer.values("mqtt_bridge:tank/level"))


@needs_mosquitto
@pytest.mark.campaign
@pytest.mark.timeout(600)
async def test_what_the_node_has_handed_over_is_not_lost(start, tmp_path):
    """The node is a broker here: a Java agent knows of no message but the last one."""
    async with quick(tmp_path / "node") as node, quick(tmp_path / "broker") as broker:
        config = settings(broker, to_iofog=[], outbox={"durability": "always"})
        config["to_mqtt"] = [{"topic": "out/{quantity}", "payload": "value"}]
        file = tmp_path / "settings.json"
        file.write_text(json.dumps(config))
        link = f"mqtt://127.0.0.1:{node.relay.port}?receive=readings"
        variables = {"IOFOG_LINK": link, "IOFOG_MICROSERVICE": "bridge", "STATE_DIRECTORY": str(tmp_path)}

        async def begin():
            service = await start("mqtt_bridge", "--settings", str(file), **variables)
            await ready(config["http"]["port"])
            return service

        values = []

        def take(received):
            values.append(int(received.payload))
            received.acknowledge()

        async with client(broker, "listener", take) as listener, client(node) as peer:
            await listener.subscribe(["out/level"])
            # Mosquitto does not keep to its window, and a link holds 1000 messages at most.
            publishing = Publishing(
                peer,
                "readings",
                lambda number: PACK % (number, number),
                lambda last: last - max(values, default=0) < 500,
            )
            service = await killed(begin, publishing, values)
            await until(lambda: values[-1] >= publishing.last, 150)
            assert await service.stop() == 0
    assert_all(publishing, values)
