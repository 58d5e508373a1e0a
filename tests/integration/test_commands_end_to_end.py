"""Commands through the agent to a device and back, and silence, with the service as its own process."""

import asyncio
import json
import time

import pytest

from device_bridge.messages.maker import RESULT_TYPE
from iofog_sdk import IoMessage, connect
from local_agent import AgentConfig, Listen, LocalAgent, Microservice, Route
from local_agent.ports import free_port
from serial_instrument.emulator import DEVICES
from simulated_devices import SimulatedGpio

from ..services.serving import playing
from .conftest import environment, until, until_page


@pytest.fixture
async def both_ways():
    config = AgentConfig(
        listen=Listen(port=0),
        microservices={"device": Microservice(), "viewer": Microservice()},
        routes=[Route(source="device", to="viewer"), Route(source="viewer", to="device")],
    )
    async with LocalAgent(config) as agent:
        yield agent


class Operator:
    """The viewer's end: tells the device, and keeps what it hears."""

    def __init__(self, link):
        self.link, self.readings, self.results = link, [], []

    async def listen(self):
        async for message in self.link.messages():
            content = json.loads(message.contentdata)
            (self.results if message.infotype == RESULT_TYPE else self.readings).append(content)

    async def tell(self, content):
        """Sends a command and returns its result."""
        return await self.tell_raw(json.dumps(content).encode())

    async def tell_raw(self, content):
        """Sends bytes as a command and returns the result."""
        expected = len(self.results) + 1
        await self.link.send(IoMessage(infotype=RESULT_TYPE, contentdata=content))
        await until(lambda: len(self.results) >= expected)
        return self.results[-1]


async def test_tare_over_iofog(both_ways, start, tmp_path):
    scale = DEVICES["bench_scale"](clock=lambda: 0.0)
    settings = {"profile": "bench_scale", "serial": {"port": str(tmp_path / "tty")}}
    settings |= {"poll": {"interval": 0.02, "timeout": 0.1}, "stale_after": 0.3, "max_command_age": 30}
    settings |= {"commands": {"tare": {"timeout": 0.2}}}
    port = free_port()
    settings |= {"http": {"port": port}}
    both_ways.set_config("device", settings)
    async with playing(scale, tmp_path / "tty") as played, connect(environment(both_ways, "viewer")) as link:
        operator = Operator(link)
        listening = asyncio.ensure_future(operator.listen())
        service = await start("serial_instrument", **environment(both_ways))
        await link.wait_connected()
        await until(lambda: operator.readings)
        scale.set("load", 500)

        done = await operator.tell({"command": "tare", "id": "first"})
        assert (done["command"], done["id"], done["ok"]) == ("tare", "first", True)
        assert "500.00 g" in done["detail"]
        await until(lambda: operator.readings[-1][0].get("v") == 0)

        unknown = await operator.tell([{"n": "relay", "vb": True}])
        assert (unknown["command"], unknown["ok"]) == ("relay", False)
        assert "Known are tare, zero, show" in unknown["detail"]
        assert "not JSON" in (await operator.tell_raw(b"tare"))["detail"]

        played.execute("silent on")
        dead = await operator.tell({"command": "tare"})
        assert (dead["ok"], "no answer within 0.2 s" in dead["detail"]) == (False, True)
        await until(lambda: operator.readings[-1][0].get("quality") == "stale")
        played.execute("silent off")
        assert (await operator.tell({"command": "tare"}))["ok"]
        await until(lambda: "quality" not in operator.readings[-1][0])

        metrics = await until_page(port, "/metrics", lambda status, _: status == 200)
        assert 'bridge_commands_total{result="done"} 2' in metrics

        old = await operator.tell({"command": "tare", "time": 1_700_000_000})
        assert "max_command_age = 30 s" in old["detail"]
        assert await service.stop() == 0
        counts = service.counts
        assert counts["read"] == counts["delivered"] + counts["buffered"] + counts["dropped"]
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_an_output_goes_safe_when_its_settings_or_its_agent_are_gone(both_ways, start, tmp_path):
    gpio = SimulatedGpio(tmp_path / "gpio")
    gpio.add("pinctrl-bcm2711", ["", "", "LAMP"])
    settings = {
        "gpio": {"path": f"sim:{gpio.path}"},
        "outputs": [{"name": "lamp", "line": "LAMP"}],
        "node_timeout": 0.5,
    }
    both_ways.set_config("device", settings)
    async with gpio.serving(), connect(environment(both_ways, "viewer")) as link:
        operator = Operator(link)
        listening = asyncio.ensure_future(operator.listen())
        service = await start("digital_outputs", **environment(both_ways))
        await link.wait_connected()
        await until(lambda: operator.readings)

        stale = await operator.tell({"command": "lamp", "value": True, "time": time.time() - 100})
        assert (stale["ok"], "more than max_command_age" in stale["detail"]) == (False, True)
        assert gpio.level("LAMP") == 0

        assert (await operator.tell([{"n": "lamp", "vb": True}]))["ok"]
        assert gpio.level("LAMP") == 1
        both_ways.set_config("device", settings | {"outputs": "none"})
        await until(lambda: gpio.level("LAMP") == 0)
        refused = await operator.tell({"command": "lamp", "value": True})
        assert (refused["ok"], "until settings are good again" in refused["detail"]) == (False, True)

        both_ways.set_config("device", settings)
        await until(lambda: "settings are good again" in [line["message"] for line in service.lines])
        done = await operator.tell({"command": "lamp", "value": True})
        assert (done["detail"], gpio.level("LAMP")) == ("done and read back", 1)
        await both_ways.close()
        await until(lambda: gpio.level("LAMP") == 0)
        assert await service.stop() == 0
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
