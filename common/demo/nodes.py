"""The nodes a demo can run on: embedded, on loopback, removed when the demo stops."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from local_agent import AgentConfig, Listen, LocalAgent, Microservice, Route
from local_agent.edgelet_api import EdgeletApi
from local_agent.nats_server import NatsServer

LINKS = ("agent", "edgelet", "nats", "mqtt")
_APPLICATION = "demo"
_VIEWER = "viewer"
_ALL_READINGS = "iofog.readings.{application}.>"


class DemoNode(NamedTuple):
    """A running node.

    Parameters:
        way: transport of messages, for the title.
        variables: of each service's environment, by its name.
        viewer: variables of the viewer's.
        configure: passes settings to the service of this name; returns arguments for its command line.
        agent: the local agent, where it is that which carries messages.
    """

    way: str
    variables: dict[str, dict[str, str]]
    viewer: dict[str, str]
    configure: Callable[[str, dict[str, Any]], tuple[str, ...]]
    agent: LocalAgent | None = None


@contextlib.asynccontextmanager
async def demo_node(link: str, services: Sequence[str], folder: Path, receiver: str = "") -> AsyncIterator[DemoNode]:
    """Starts a node of this kind.

    Parameters:
        link: one of LINKS.
        services: the first is the one whose readings are shown; the others send to it, and it to them.
        folder: for temporary files.
        receiver: the one that hears all others where no routes bring their messages; by default the first of several.
    """
    async with contextlib.AsyncExitStack() as stack:
        start = {"agent": _agent, "edgelet": _edgelet, "nats": _nats, "mqtt": _mqtt}[link]
        yield await start(stack, services, folder, receiver or (services[0] if len(services) > 1 else ""))


def _config(services: Sequence[str], *, messages: bool) -> AgentConfig:
    pairs = [(services[0], other) for other in (_VIEWER, *services[1:])]
    return AgentConfig(
        listen=Listen(port=0),
        microservices={name: Microservice() for name in (*services, _VIEWER)},
        routes=[Route(source=one, to=other) for pair in pairs for one, other in (pair, pair[::-1])],
        messages=messages,
    )


def _by_agent(agent: LocalAgent) -> Callable[[str, dict[str, Any]], tuple[str, ...]]:
    def configure(service: str, settings: dict[str, Any]) -> tuple[str, ...]:
        agent.set_config(service, settings)
        return ()

    return configure


async def _agent(stack: contextlib.AsyncExitStack, services: Sequence[str], folder: Path, receiver: str) -> DemoNode:
    agent = await stack.enter_async_context(LocalAgent(_config(services, messages=True)))

    def variables(name: str) -> dict[str, str]:
        return {"SELFNAME": agent.id_of(name), "IOFOG_LINK": f"agent://127.0.0.1:{agent.port}"}

    of_services = {name: variables(name) for name in services}
    return DemoNode("local agent", of_services, variables(_VIEWER), _by_agent(agent), agent)


async def _edgelet(
    stack: contextlib.AsyncExitStack, services: Sequence[str], folder: Path, receiver: str
) -> DemoNode:
    agent = await stack.enter_async_context(LocalAgent(_config(services, messages=False)))
    api = await stack.enter_async_context(EdgeletApi(agent, folder / "edgelet"))
    nats = await stack.enter_async_context(NatsServer(folder / "nats"))
    where = {"NATS_SERVER_URL": nats.url, "EDGELET_APPLICATION_NAME": _APPLICATION}
    variables = {name: api.variables(name) | where for name in services}
    if receiver:
        variables[receiver]["IOFOG_RECEIVE"] = _ALL_READINGS
    return DemoNode("EdgeletAPI and NATS", variables, _nats_viewer(nats, services[0]), _by_agent(agent))


async def _nats(stack: contextlib.AsyncExitStack, services: Sequence[str], folder: Path, receiver: str) -> DemoNode:
    nats = await stack.enter_async_context(NatsServer(folder / "nats"))
    variables = {name: _named(name, nats.url) for name in services}
    if receiver:
        variables[receiver]["IOFOG_LINK"] += f"?receive={_ALL_READINGS}"
    return DemoNode("NATS", variables, _nats_viewer(nats, services[0]), _by_file(folder))


async def _mqtt(stack: contextlib.AsyncExitStack, services: Sequence[str], folder: Path, receiver: str) -> DemoNode:
    broker = await stack.enter_async_context(NatsServer(folder / "nats", mqtt=True))
    url = f"mqtt://127.0.0.1:{broker.mqtt_port}?version=3.1.1"
    topic = f"iofog/{_APPLICATION}/{services[0]}"
    viewer = f"{url}&receive={topic}/readings,{topic}/results&results={topic}/commands&status="
    variables = {name: _named(name, url) for name in services}
    if receiver:
        others = [name for name in services if name != receiver]
        topics = [f"iofog/{_APPLICATION}/{name}/{kind}" for name in others for kind in ("readings", "results")]
        variables[receiver]["IOFOG_LINK"] += f"&receive={','.join(topics)}"
    return DemoNode("MQTT broker", variables, _named(_VIEWER, viewer), _by_file(folder))


def _nats_viewer(nats: NatsServer, service: str) -> dict[str, str]:
    receive = f"iofog.readings.{_APPLICATION}.{service}"
    commands = f"iofog.commands.{_APPLICATION}.{service}"
    return _named(_VIEWER, f"{nats.url}?receive={receive}&subject={commands}")


def _named(name: str, link: str) -> dict[str, str]:
    return {"IOFOG_LINK": link, "IOFOG_APPLICATION": _APPLICATION, "IOFOG_MICROSERVICE": name}


def _by_file(folder: Path) -> Callable[[str, dict[str, Any]], tuple[str, ...]]:
    def configure(service: str, settings: dict[str, Any]) -> tuple[str, ...]:
        file = folder / f"{service}.settings.json"
        file.write_text(json.dumps(settings))
        return ("--settings", str(file))

    return configure
