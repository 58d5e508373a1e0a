"""Nodes of each kind that carries messages, and how each can fail: what the tests of delivery run against."""

import asyncio
import contextlib
import shutil

from iofog_sdk import connect
from local_agent import LocalAgent
from local_agent.nats_server import NatsServer
from local_agent.ports import free_port
from pytest_simulated_devices import Relay

from .conftest import Receiver, agent_config, environment

OPTIONS = "receipt_timeout_s=1&answer_timeout_s=3&ping_interval_s={ping}"
"""Short enough to find a fault in a second or two, long enough for a server on a busy machine to answer."""


@contextlib.asynccontextmanager
async def received_by(link):
    receiver = Receiver()
    async with link:
        await link.wait_connected()
        task = asyncio.ensure_future(receiver.run(link))
        try:
            yield receiver
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class AgentNode:
    """A Java agent's Local API v2."""

    SENDS_AGAIN_LATE = ()
    FAULTS = ("hang", "close", "slow", "swallow", "garbage_short", "garbage_unknown", "breaks", "forget")

    def __init__(self, folder):
        self._agent = LocalAgent(agent_config())

    async def __aenter__(self):
        await self._agent.__aenter__()
        return self

    async def __aexit__(self, *exception):
        await self._agent.__aexit__(*exception)

    def variables(self):
        options = f"?{OPTIONS.format(ping=0.2)}"
        return environment(self._agent, options=options)

    def receiving(self):
        return received_by(connect(environment(self._agent, "viewer")))

    async def begin(self, fault):
        agent, faults = self._agent, self._agent.faults
        if fault == "hang":
            faults.hang = True
        elif fault == "close":
            faults.close_without_reply = True
            agent.drop_connections("device")
        elif fault == "slow":
            faults.delay_s = 0.5
        elif fault == "swallow":
            faults.drop_receipts = True
        elif fault == "garbage_short":
            faults.garbage = b"\x0e\x20"
        elif fault == "garbage_unknown":
            faults.garbage = b"\xfe" * 40
        elif fault == "breaks":
            for _ in range(5):
                agent.drop_connections("device")
                await asyncio.sleep(0.02)
        elif fault == "forget" and (session := agent.message_sockets.sessions.get(agent.id_of("device"))):
            agent.message_sockets.remove(session)

    async def end(self, fault):
        vars(self._agent.faults).update(vars(type(self._agent.faults)()))


class RelayedNode:
    """A real server behind a relay."""

    SENDS_AGAIN_LATE = ()
    """Faults after which the server sends what a receiver has missed behind what has come since."""
    FAULTS = ("hang", "refuse", "slow", "swallow", "garbage", "breaks", "restart", "kill")

    async def __aenter__(self):
        await self.start_server()
        self.relay = Relay(self.server_port)
        await self.relay.__aenter__()
        return self

    async def __aexit__(self, *exception):
        await self.relay.__aexit__(*exception)
        await self.stop_server(kill=False)

    async def begin(self, fault):
        relay = self.relay
        if fault == "hang":
            relay.hang = True
        elif fault == "refuse":
            relay.refuse = True
            relay.drop()
        elif fault == "slow":
            relay.delay_s = 0.5
        elif fault == "swallow":
            relay.swallow = True
        elif fault == "garbage":
            relay.garbage = b"\xfe\xff" * 20
        elif fault == "breaks":
            for _ in range(5):
                relay.drop()
                await asyncio.sleep(0.02)
        elif fault in ("restart", "kill"):
            await self.stop_server(kill=fault == "kill")

    async def end(self, fault):
        self.relay.heal()
        if fault in ("restart", "kill"):
            await self.start_server()


class NatsNode(RelayedNode):
    """NATS with JetStream."""

    def __init__(self, folder):
        self._server = NatsServer(
            folder / "nats", {"jetstream": {"store_dir": str(folder / "js"), "sync_interval": "always"}}
        )

    @property
    def server_port(self):
        return self._server.port

    async def start_server(self):
        await self._server.start()

    async def stop_server(self, *, kill):
        await self._server.stop(kill=kill)

    def variables(self):
        link = f"nats://127.0.0.1:{self.relay.port}?{OPTIONS.format(ping=1)}"
        return {"IOFOG_LINK": link, "IOFOG_MICROSERVICE": "device"}

    def receiving(self):
        link = f"{self._server.url}?receive=iofog.readings.default.device"
        return received_by(connect({"IOFOG_LINK": link, "IOFOG_MICROSERVICE": "viewer"}))


class MqttNode(RelayedNode):
    """The MQTT listener of a NATS server: version 3.1.1.

    Stopped or killed, it may have counted as sent what it had not; that it sends again after its ack_wait of 30 s.
    """

    SENDS_AGAIN_LATE = ("restart", "kill")
    version = "3.1.1"

    def __init__(self, folder):
        self._server = NatsServer(folder / "nats", mqtt=True)

    @property
    def server_port(self):
        return self._server.mqtt_port

    async def start_server(self):
        await self._server.start()

    async def stop_server(self, *, kill):
        await self._server.stop(kill=kill)

    def variables(self):
        options = f"version={self.version}&{OPTIONS.format(ping=1)}"
        return {"IOFOG_LINK": f"mqtt://127.0.0.1:{self.relay.port}?{options}", "IOFOG_MICROSERVICE": "device"}

    def receiving(self, name="viewer"):
        options = f"version={self.version}&receive=iofog/default/device/readings"
        link = f"mqtt://127.0.0.1:{self.server_port}?{options}"
        return received_by(connect({"IOFOG_LINK": link, "IOFOG_MICROSERVICE": name}))


class MosquittoNode(MqttNode):
    """Mosquitto, an independent broker: version 5."""

    SENDS_AGAIN_LATE = ()
    FAULTS = tuple(fault for fault in MqttNode.FAULTS if fault != "kill")  # it acknowledges before it has written
    version = "5"
    more = ""

    def __init__(self, folder):
        self._folder, self._port = folder, free_port()

    @property
    def server_port(self):
        return self._port

    async def start_server(self):
        config = self._folder / "mosquitto.conf"
        config.write_text(
            f"listener {self._port} 127.0.0.1\n"
            + ("" if "allow_anonymous" in self.more else "allow_anonymous true\n")
            + "persistence true\nautosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\nuser root\n"
            + f"persistence_location {self._folder}/\n{self.more}"
        )
        self._process = await asyncio.create_subprocess_exec(
            *("mosquitto", "-c", str(config)), stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError):
                    (await asyncio.open_connection("127.0.0.1", self._port))[1].close()
                    return
                await asyncio.sleep(0.02)

    async def stop_server(self, *, kill):
        self._process.kill() if kill else self._process.terminate()
        await self._process.wait()


NODES = {"agent": AgentNode, "nats": NatsNode, "mqtt": MqttNode, "mosquitto": MosquittoNode}


def is_here(kind):
    return kind != "mosquitto" or shutil.which("mosquitto") is not None
