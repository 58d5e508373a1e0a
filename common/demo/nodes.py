"""The nodes a demo can run on: embedded, on loopback, removed when the demo stops."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

from local_agent import AgentConfig, Listen, LocalAgent, Microservice, Route
from local_agent.edgelet_api import EdgeletApi
from local_agent.nats_server import NatsServer

LINKS = ("agent", "edgelet", "nats", "mqtt")
_APPLICATION = "demo"
_VIEWER = "viewer"


class DemoNode(NamedTuple):
    """A running node.

    Parameters:
        way: transport of messages, for the title.
        service: variables of the service's environment.
        viewer: variables of the viewer's.
        configure: passes settings to the service; returns arguments for its command line.
    """

    way: str
    service: dict[str, str]
    viewer: dict[str, str]
    configure: Callable[[dict[str, Any]], tuple[str, ...]]


@contextlib.asynccontextmanager
async def demo_node(link: str, service: str, folder: Path) -> AsyncIterator[DemoNode]:
    """Starts a node of this kind.

    Parameters:
        link: one of LINKS.
        service: whose readings are shown.
        folder: for temporary files.
    """
    async with contextlib.AsyncExitStack() as stack:
        start = {"agent": _agent, "edgelet": _edgelet, "nats": _nats, "mqtt": _mqtt}[link]
        yield await start(stack, service, folder)


def _config(service: str, *, messages: bool) -> AgentConfig:
    return AgentConfig(
        listen=Listen(port=0),
        microservices={service: Microservice(), _VIEWER: Microservice()},
        routes=[Route(source=service, to=_VIEWER), Route(source=_VIEWER, to=service)],
        messages=messages,
    )


async def _agent(stack: contextlib.AsyncExitStack, service: str, folder: Path) -> DemoNode:
    agent = await stack.enter_async_context(LocalAgent(_config(service, messages=True)))

    def configure(settings: dict[str, Any]) -> tuple[str, ...]:
        agent.set_config(service, settings)
        return ()

    def variables(name: str) -> dict[str, str]:
        return {"SELFNAME": agent.id_of(name), "IOFOG_LINK": f"agent://127.0.0.1:{agent.port}"}

    return DemoNode("local agent", variables(service), variables(_VIEWER), configure)


async def _edgelet(stack: contextlib.AsyncExitStack, service: str, folder: Path) -> DemoNode:
    agent = await stack.enter_async_context(LocalAgent(_config(service, messages=False)))
    api = await stack.enter_async_context(EdgeletApi(agent, folder / "edgelet"))
    nats = await stack.enter_async_context(NatsServer(folder / "nats"))

    def configure(settings: dict[str, Any]) -> tuple[str, ...]:
        agent.set_config(service, settings)
        return ()

    variables = api.variables(service) | {"NATS_SERVER_URL": nats.url, "EDGELET_APPLICATION_NAME": _APPLICATION}
    return DemoNode("EdgeletAPI and NATS", variables, _nats_viewer(nats, service), configure)


async def _nats(stack: contextlib.AsyncExitStack, service: str, folder: Path) -> DemoNode:
    nats = await stack.enter_async_context(NatsServer(folder / "nats"))
    return DemoNode("NATS", _named(service, nats.url), _nats_viewer(nats, service), _by_file(folder))


async def _mqtt(stack: contextlib.AsyncExitStack, service: str, folder: Path) -> DemoNode:
    broker = await stack.enter_async_context(NatsServer(folder / "nats", mqtt=True))
    url = f"mqtt://127.0.0.1:{broker.mqtt_port}?version=3.1.1"
    topic = f"iofog/{_APPLICATION}/{service}"
    viewer = f"{url}&receive={topic}/readings,{topic}/results&results={topic}/commands&status="
    return DemoNode("MQTT broker", _named(service, url), _named(_VIEWER, viewer), _by_file(folder))


def _nats_viewer(nats: NatsServer, service: str) -> dict[str, str]:
    receive = f"iofog.readings.{_APPLICATION}.{service}"
    commands = f"iofog.commands.{_APPLICATION}.{service}"
    return _named(_VIEWER, f"{nats.url}?receive={receive}&subject={commands}")


def _named(name: str, link: str) -> dict[str, str]:
    return {"IOFOG_LINK": link, "IOFOG_APPLICATION": _APPLICATION, "IOFOG_MICROSERVICE": name}


def _by_file(folder: Path) -> Callable[[dict[str, Any]], tuple[str, ...]]:
    def configure(settings: dict[str, Any]) -> tuple[str, ...]:
        file = folder / "settings.json"
        file.write_text(json.dumps(settings))
        return ("--settings", str(file))

    return configure
