"""The site of deploy/compose.yaml with its own variables, on a broker of this machine: what the page hears."""

import asyncio
import contextlib
import json
import re
from pathlib import Path

import aiohttp
import yaml

from local_agent.nats_server import NatsServer
from local_agent.ports import free_port

SERVICES = yaml.safe_load(Path(__file__, "../../../deploy/compose.yaml").resolve().read_text())["services"]


def variables(name, broker):
    """Of a container, on this machine and without devices."""
    found = SERVICES[name]["environment"]
    link = found["IOFOG_LINK"].replace("site-broker:1883", f"127.0.0.1:{broker}")
    return found | {"IOFOG_LINK": f"{link}?version=3.1.1", "DASHBOARD_TOKEN": ""}


async def test_the_page_hears_every_bridge_of_the_gateway_by_the_broker(start, tmp_path):
    bridges = json.loads(SERVICES["site-gateway"]["environment"]["SETTING_BRIDGES"])
    port = free_port()
    async with NatsServer(tmp_path, mqtt=True) as broker, aiohttp.ClientSession() as session:
        page = {"SETTING_PAGE__HOST": "127.0.0.1", "SETTING_PAGE__PORT": str(port)}
        await start("live_dashboard", **variables("site-page", broker.mqtt_port) | page)
        state = {"STATE_DIRECTORY": str(tmp_path), "SETTING_ANNOUNCE": "1"}
        await start("edge_gateway", **variables("site-gateway", broker.mqtt_port) | state)

        async def sources():
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{port}/api/sources") as answer:
                    return {source["name"]: source for source in (await answer.json()).get("sources", ())}
            return {}

        async with asyncio.timeout(20):
            while not (found := await sources()).keys() >= bridges.keys() | {"edge_gateway"}:
                await asyncio.sleep(0.1)
    assert re.search(r"no such device|not found", json.dumps(found["gps"]))
