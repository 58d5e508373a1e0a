"""Chooses the link for this process from its environment variables.

| environment | link |
|---|---|
| `IOFOG_LINK=agent://host[:port]` | the Java agent there, as the microservice named by `SELFNAME` |
| `IOFOG_LINK=console:` | no node: messages are printed |
| `IOFOG_LINK=nats://host[:port]`, `tls://…` | NATS with JetStream, without an agent |
| `IOFOG_LINK=mqtt://host[:port]`, `mqtts://…` | an MQTT broker, without an agent |
| `EDGELET_MICROSERVICE_UID` | EdgeletAPI v1 for configuration and signals, NATS for messages (ioFog 3.8 and later) |
| … without its folder of credentials | Edgelet without a Controller: neither; a node of its own needs IOFOG_LINK |
| `SELFNAME` alone | the agent that started this container, at `iofog:54321`; NATS for messages if it has none (3.7) |

`IOFOG_AGENT=host:port` and `EDGELET_API=host:port` replace the default addresses of the last two.

Time limits are options of the URL: `agent://host?receipt_timeout_s=60&ping_interval_s=30`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .errors import IoFogError
from .http.hosts import AGENT_HOST, DEFAULT_PORT, EDGELET_HOST
from .links.base import Link
from .redact import redact_url

if TYPE_CHECKING:
    from .agent.local_api import LocalApiClient
    from .nats.options import NatsOptions

# Each kind of link is imported where it is made: a container pays in memory and start time for every module.
# ruff: noqa: PLC0415

log = logging.getLogger("iofog_sdk")

_NATS_VARIABLES = ("NATS_SERVER_URL", "NATS_CREDS_PATH", "IOFOG_RECEIVE")


class NodeNotFound(IoFogError):  # noqa: N818 - the name says what happened
    """The environment does not say how to reach a node."""


def connect(environment: Mapping[str, str] | None = None) -> Link:
    """Makes the link that the environment asks for, not yet started.

    Parameters:
        environment: variables to read; the process's own by default.

    Raises NodeNotFound, naming the variable and what to set it to.
    """
    variables = os.environ if environment is None else environment
    if url := variables.get("IOFOG_LINK", ""):
        link = _link_from_url(url, variables)
        log.info("ioFog node: %s, set by IOFOG_LINK", link.description)
        return link
    if uid := variables.get("EDGELET_MICROSERVICE_UID"):
        return _edgelet_link(uid, variables)
    if variables.get("SELFNAME"):
        return _detecting_link(variables)
    raise NodeNotFound(
        "no ioFog node: neither SELFNAME nor EDGELET_MICROSERVICE_UID is set. Inside ioFog the node sets one; "
        "elsewhere set SELFNAME=<microservice UUID> and IOFOG_LINK=agent://host:54321, or "
        "IOFOG_LINK=nats://host, mqtt://host or console:"
    )


def _link_from_url(url: str, variables: Mapping[str, str]) -> Link:
    if url == "console:":
        from .links.console import ConsoleLink

        return ConsoleLink()
    make_link = _LINKS.get(url.partition(":")[0])
    if make_link is None:
        remedy = "write agent://host:54321, nats://host:4222, mqtt://host:1883 or console:"
        from .suggestions import did_you_mean

        hint = did_you_mean(url.partition(":")[0], (*_LINKS, "console"))
        raise NodeNotFound(f"IOFOG_LINK={redact_url(url)}: unknown kind of link; {remedy}. {hint}".removesuffix(". "))
    try:
        return make_link(url, variables)
    except ValueError as error:
        raise NodeNotFound(f"IOFOG_LINK={redact_url(url)}: {error}") from None


def _agent_link(url: str, variables: Mapping[str, str]) -> Link:
    from .agent.link import AgentLink
    from .links.url import Number, parse_url

    seconds = Number(float, 0.01, 3600)
    types = dict.fromkeys(("receipt_timeout_s", "ping_interval_s", "answer_timeout_s"), seconds)
    parsed = parse_url(url, {"agent": DEFAULT_PORT}, types)
    if parsed.user:
        raise ValueError(f"an agent has no users; write agent://host:{DEFAULT_PORT}")
    if not variables.get("SELFNAME"):
        raise ValueError("it needs SELFNAME=<microservice UUID>, by which the agent knows this service")
    return AgentLink(_agent_client(variables["SELFNAME"], parsed.host, parsed.port), **parsed.options)


def _nats_link(url: str, variables: Mapping[str, str]) -> Link:
    from .nats.link import NatsLink
    from .nats.options import parse_nats_options

    return NatsLink(parse_nats_options(url, variables))


def _mqtt_link(url: str, variables: Mapping[str, str]) -> Link:
    from .mqtt.link import MqttLink
    from .mqtt.options import parse_mqtt_options

    return MqttLink(parse_mqtt_options(url, variables))


_LINKS = {"agent": _agent_link, "nats": _nats_link, "tls": _nats_link, "mqtt": _mqtt_link, "mqtts": _mqtt_link}


def _detecting_link(variables: Mapping[str, str]) -> Link:
    from .agent.detecting_link import DetectingLink

    options = _node_nats_options(variables) if any(map(variables.get, _NATS_VARIABLES)) else None
    client = _agent_client(variables["SELFNAME"], *_read_address("IOFOG_AGENT", variables, AGENT_HOST))

    def fallback() -> Link:
        from .nats.link import NatsLink

        return NatsLink(options or _node_nats_options(variables))

    return DetectingLink(client, fallback)


def _edgelet_link(uid: str, variables: Mapping[str, str]) -> Link:
    from pathlib import Path

    from .edgelet.control import EdgeletClient, EdgeletControl
    from .http.service_account import FOLDER, ServiceAccount
    from .links.split import SplitLink
    from .nats.link import NatsLink

    folder = Path(variables.get("EDGELET_SERVICE_ACCOUNT", "") or FOLDER)
    host, port = _read_address("EDGELET_API", variables, EDGELET_HOST)
    try:
        has_controller = folder.is_dir()
    except OSError as error:
        raise NodeNotFound(f"EDGELET_SERVICE_ACCOUNT: {error.strerror}") from None
    if not has_controller:
        log.info("ioFog node: Edgelet without a Controller (there is no %s): no settings or signals from it", folder)
        if not variables.get("NATS_SERVER_URL"):
            raise NodeNotFound("Edgelet without a Controller carries no messages; set IOFOG_LINK=mqtt://host")
        return NatsLink(_node_nats_options(variables))
    log.info("ioFog node: EDGELET_MICROSERVICE_UID is set: settings by EdgeletAPI v1, messages over NATS")
    client = EdgeletClient(ServiceAccount(folder), host, port)
    return SplitLink(EdgeletControl(client, uid), NatsLink(_node_nats_options(variables)))


def _agent_client(microservice_id: str, host: str, port: int) -> LocalApiClient:
    from .agent.local_api import LocalApiClient

    try:
        return LocalApiClient(microservice_id, host, port)
    except ValueError as error:
        raise NodeNotFound(f"SELFNAME: {error}") from None


def _node_nats_options(variables: Mapping[str, str]) -> NatsOptions:
    from .nats.options import parse_nats_options

    try:
        return parse_nats_options("", variables)
    except ValueError as error:
        url = variables.get("NATS_SERVER_URL", "")
        where = f"NATS_SERVER_URL={redact_url(url)}: " if url else ""  # else the error names another variable
        raise NodeNotFound(f"{where}{error}") from None


def _read_address(name: str, variables: Mapping[str, str], default: str) -> tuple[str, int]:
    from .links.url import is_host

    text = variables.get(name, "")
    if not text:
        return default, DEFAULT_PORT
    host, _, port = text.partition(":")
    if not is_host(host) or (port and not (port.isdecimal() and 0 < int(port) < 65_536)):
        raise NodeNotFound(f"{name}={redact_url(text)}: write host or host:port")
    return host, int(port or DEFAULT_PORT)
