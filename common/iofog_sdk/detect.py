"""Finds out on which node this process runs, and how to reach it.

| environment | link |
|---|---|
| `IOFOG_LINK=agent://host[:port]` | the ioFog agent there, as the microservice named by `SELFNAME` |
| `IOFOG_LINK=console:` | none: messages are printed |
| `IOFOG_LINK=nats://host[:port]`, `tls://…` | NATS with JetStream, without an agent |
| `IOFOG_LINK=mqtt://host[:port]`, `mqtts://…` | an MQTT broker, without an agent |
| `EDGELET_MICROSERVICE_UID` | EdgeletAPI v1 for configuration and control, NATS for messages (3.8 and later) |
| `SELFNAME` alone | the agent that started this container, at `iofog:54321`; NATS for messages if it has none (3.7) |

`IOFOG_AGENT=host:port` and `EDGELET_API=host:port` say where the last two are, if not where ioFog puts them.

Slow networks can be given more time, and a busy one less: `agent://host?receipt_timeout_s=60&ping_interval_s=30`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from .agent.link import AgentLink, DetectingLink, SplitLink
from .agent.local_api import LocalApiClient
from .errors import IoFogError
from .http.hosts import AGENT_HOST, DEFAULT_PORT, EDGELET_HOST
from .links.base import Link
from .links.console import ConsoleLink
from .links.url import without_secret
from .nats.options import NatsOptions, nats_options

log = logging.getLogger("iofog_sdk")

_OPTIONS = ("receipt_timeout_s", "ping_interval_s", "answer_timeout_s")


class NodeNotFound(IoFogError):  # noqa: N818 - the name says what happened
    """The environment does not say how to reach a node."""


def connect(environment: Mapping[str, str] | None = None) -> Link:
    """The link the environment asks for, not yet started.

    Parameters:
        environment: variables to read, the process's own by default.

    Raises NodeNotFound, naming the variable and what to set it to.
    """
    variables = os.environ if environment is None else environment
    chosen = variables.get("IOFOG_LINK", "")
    identity = variables.get("SELFNAME", "")
    if chosen:
        link = _chosen_link(chosen, identity, variables)
        log.info("ioFog node: none looked for, IOFOG_LINK says %s", link.description)
        return link
    if uid := variables.get("EDGELET_MICROSERVICE_UID"):
        log.info("ioFog node: EDGELET_MICROSERVICE_UID is set: settings by EdgeletAPI v1, messages over NATS")
        return _edgelet_link(uid, variables)
    if not identity:
        raise NodeNotFound(
            "no ioFog node: neither SELFNAME nor EDGELET_MICROSERVICE_UID is set. Inside ioFog the node sets one; "
            "elsewhere set SELFNAME=<microservice UUID> and IOFOG_LINK=agent://host:54321, or "
            "IOFOG_LINK=nats://host, mqtt://host or console:"
        )
    host, port = _address("IOFOG_AGENT", variables, AGENT_HOST)
    options = _nats_options(variables)
    try:
        client = LocalApiClient(identity, host, port)
    except ValueError as error:
        raise NodeNotFound(f"SELFNAME={identity}: {error}") from None
    return DetectingLink(client, lambda: _nats_link(options))


def _chosen_link(chosen: str, identity: str, variables: Mapping[str, str]) -> Link:
    if chosen == "console:":
        return ConsoleLink()
    if other := _OTHERS.get(chosen.partition(":")[0]):
        try:
            return other(chosen, variables)
        except ValueError as error:
            raise NodeNotFound(f"IOFOG_LINK={without_secret(chosen)}: {error}") from None
    return _agent_link(chosen, identity)


def _edgelet_link(uid: str, variables: Mapping[str, str]) -> Link:
    from .edgelet.control import EdgeletClient, EdgeletControl  # noqa: PLC0415 - TLS, which only these nodes pay for
    from .http.service_account import FOLDER, ServiceAccount  # noqa: PLC0415

    folder = Path(variables.get("EDGELET_SERVICE_ACCOUNT", "") or FOLDER)
    host, port = _address("EDGELET_API", variables, EDGELET_HOST)
    client = EdgeletClient(ServiceAccount(folder), host, port)
    return SplitLink(EdgeletControl(client, uid), _nats_link(_nats_options(variables)))


def _nats_options(variables: Mapping[str, str]) -> NatsOptions:
    try:
        return nats_options("", variables)
    except ValueError as error:
        url = variables.get("NATS_SERVER_URL", "")
        where = f"NATS_SERVER_URL={without_secret(url)}: " if url else ""  # else another variable, which it names
        raise NodeNotFound(f"{where}{error}") from None


def _nats_link(options: NatsOptions) -> Link:
    from .nats.link import NatsLink  # noqa: PLC0415 - a library that only nodes with NATS pay for

    return NatsLink(options)


def _mqtt_link(chosen: str, variables: Mapping[str, str]) -> Link:
    from .mqtt.link import MqttLink  # noqa: PLC0415 - as above
    from .mqtt.options import mqtt_options  # noqa: PLC0415

    return MqttLink(mqtt_options(chosen, variables))


def _chosen_nats_link(chosen: str, variables: Mapping[str, str]) -> Link:
    return _nats_link(nats_options(chosen, variables))


_OTHERS = {"nats": _chosen_nats_link, "tls": _chosen_nats_link, "mqtt": _mqtt_link, "mqtts": _mqtt_link}


def _agent_link(chosen: str, identity: str) -> AgentLink:
    remedy = "write agent://host:54321, nats://host:4222, mqtt://host:1883 or console:"
    try:
        url = urlsplit(chosen)
        port = url.port or DEFAULT_PORT
        options = {name: _seconds(name, text) for name, text in parse_qsl(url.query, strict_parsing=bool(url.query))}
    except ValueError as error:
        raise NodeNotFound(f"IOFOG_LINK={chosen}: {error}; {remedy}") from None
    if url.scheme != "agent" or not url.hostname or url.path.strip("/") or url.username:
        raise NodeNotFound(f"IOFOG_LINK={chosen}: not understood; {remedy}")
    if not identity:
        raise NodeNotFound(
            f"IOFOG_LINK={chosen} needs SELFNAME=<microservice UUID>, which the agent knows this service by"
        )
    try:
        return AgentLink(LocalApiClient(identity, url.hostname, port), **options)
    except ValueError as error:
        raise NodeNotFound(f"SELFNAME={identity}: {error}") from None


def _seconds(name: str, text: str) -> float:
    if name not in _OPTIONS:
        raise ValueError(f"unknown option {name}, known: {', '.join(_OPTIONS)}")
    seconds = float(text)
    if not 0.01 <= seconds <= 3600:
        raise ValueError(f"{name}={text}: 0.01 to 3600 s")
    return seconds


def _address(name: str, variables: Mapping[str, str], usual: str) -> tuple[str, int]:
    given = variables.get(name, "")
    if not given:
        return usual, DEFAULT_PORT
    host, _, port = given.partition(":")
    if not host or (port and not (port.isdecimal() and 0 < int(port) < 65_536)):
        raise NodeNotFound(f"{name}={given}: write host or host:port")
    return host, int(port or DEFAULT_PORT)
