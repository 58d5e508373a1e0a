"""The agent's configuration: microservices, their settings, and routes, from a YAML file."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import msgspec

from deployment.documents import ManifestError
from deployment.documents import load as documents_of

_NAMESPACE = uuid.UUID("6f5e8a52-3d0c-4f5e-9d8b-54321e0f06a1")
_MAX_VALUES = 100_000

EXAMPLE = """\
listen: {host: 127.0.0.1, port: 54321}   # no authentication: keep it on loopback

microservices:
  gps:                                   # a name for routes and logs
    id: 2c1b8a5e-0f6d-5e0e-8f37-000000000001   # SELFNAME of the container; made from the name when left out
    config:                              # sent as JSON text; a string is sent as it is
      serial: {port: /dev/ttyUSB0, baud: 9600}
  viewer: {}

routes:
  - {from: gps, to: viewer}

edgeResources: []                        # forwarded unchanged
messages: true                           # false: without message routes, like agents of 3.7
"""


class ConfigError(ValueError):
    """The configuration cannot be used; the text names the place and the remedy."""


class Listen(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where the agent listens. Port 0 takes any free one."""

    host: str = "127.0.0.1"
    port: int = 54321


class Microservice(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One microservice: its UUID, made from its name when empty, and its configuration.

    With EdgeletAPI, `sets_position` is what a Role with `create` on `system/gps` allows it.
    """

    id: str = ""
    config: dict[str, Any] | str | None = None
    sets_position: bool = msgspec.field(name="setsPosition", default=False)

    def config_text(self) -> str | None:
        """The configuration as the agent keeps it."""
        if self.config is None or isinstance(self.config, str):
            return self.config
        return msgspec.json.encode(self.config).decode()


class Route(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Messages of one microservice go to another."""

    source: str = msgspec.field(name="from")
    to: str


class AgentConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The agent's whole configuration."""

    listen: Listen = Listen()
    microservices: dict[str, Microservice] = {}
    routes: list[Route] = []
    edge_resources: list[Any] = msgspec.field(name="edgeResources", default_factory=list)
    messages: bool = True

    def id_of(self, name: str) -> str:
        """The UUID of a microservice given by name or by UUID. Raises ConfigError."""
        microservice = self.microservices.get(name)
        if microservice is not None:
            return microservice.id or str(uuid.uuid5(_NAMESPACE, name))
        if any(name == self.id_of(other) for other in self.microservices):
            return name
        known = ", ".join(self.microservices) or "none"
        raise ConfigError(f"no microservice {name!r}; known: {known}")

    def route_table(self) -> dict[str, list[str]]:
        """Publisher UUID to the UUIDs that receive its messages."""
        table: dict[str, dict[str, None]] = {}
        for route in self.routes:
            table.setdefault(self.id_of(route.source), {})[self.id_of(route.to)] = None
        return {publisher: list(receivers) for publisher, receivers in table.items()}

    def config_texts(self) -> dict[str, str | None]:
        """The configuration of each microservice as text, by UUID; None for one that has none."""
        return {self.id_of(name): microservice.config_text() for name, microservice in self.microservices.items()}

    def sets_position(self, identity: str) -> bool:
        """Whether the role of a microservice allows it to set the node's position."""
        return any(each.sets_position and self.id_of(name) == identity for name, each in self.microservices.items())

    def check(self) -> None:
        """Raises ConfigError for contradictions."""
        owners: dict[str, str] = {}
        for name in self.microservices:
            identity = self.id_of(name)
            if not re.fullmatch(r"[A-Za-z0-9-]{1,127}", identity):
                raise ConfigError(f"microservices.{name}.id = {identity!r}: letters, digits and - only")
            if identity in owners:
                raise ConfigError(f"microservices.{name}.id is also that of {owners[identity]}; give each its own")
            owners[identity] = name
        for number, route in enumerate(self.routes):
            for end, microservice in (("from", route.source), ("to", route.to)):
                try:
                    self.id_of(microservice)
                except ConfigError as error:
                    raise ConfigError(f"routes[{number}].{end}: {error}") from None
        if not 0 <= self.listen.port <= 65535:
            raise ConfigError(f"listen.port = {self.listen.port}: 0 to 65535")


def load(file: Path) -> AgentConfig:
    """Reads a YAML file. Raises ConfigError, naming file, place and remedy."""
    try:
        documents = documents_of(file, max_values=_MAX_VALUES)
    except ManifestError as error:
        raise ConfigError(str(error)) from None
    if len(documents) > 1:
        raise ConfigError(f"{file}: {len(documents)} documents. Write one")
    content = documents[0].content
    try:
        config = msgspec.convert({} if content is None else content, AgentConfig)
        config.check()
    except (msgspec.ValidationError, ConfigError) as error:
        raise ConfigError(f"{file}: {error}. For a whole example: python -m local_agent --example") from None
    return config
