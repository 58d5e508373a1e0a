"""A fleet: what runs on which nodes, as an operator writes it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from workspace.services import Bus, Model, Name, PublishedPort

from ..documents import mapped
from ..generations import GENERATIONS

NODE = "node"
"""`$node` is the node's own name."""
_VALUE = re.compile(r"^\$([a-z][a-z0-9-]*)\Z")


def _like(pattern: str, remedy: str) -> Meta:
    return Meta(pattern=pattern, extra_json_schema={"remedy": remedy})


Gid = Annotated[int, Meta(ge=0, le=65_535)]
Secret = Annotated[str, _like(r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$", "Write it like mqtt/password.")]
Registry = Annotated[
    str, _like(r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$", "Write host and folder, like registry.example.com/iofog.")
]
Tag = Annotated[str, _like(r"^[A-Za-z0-9_.-]{1,128}$", 'Write letters, digits and _.-, in quotes: "1.0".')]
Link = Annotated[str, _like(r"^$|^(mqtts?|nats|tls|agent)://[^\s\"]+$", "Write it like mqtt://broker.example.com.")]
_BUSES = {
    "enum": ["serial", "i2c", "gpio"],
    "errorMessage": {"enum": "there is no bus {value!r}"},
    "remedy": "Write serial, i2c or gpio.",
}
_KIT_NAMES = {"pattern": "^[a-z]([a-z0-9-]{0,40}[a-z0-9])?$", "remedy": "Write lower-case letters, digits, hyphens."}
Groups = Annotated[dict[Bus, Gid], Meta(extra_json_schema={"propertyNames": _BUSES})]


class FleetError(Exception):
    """A fleet that cannot be deployed as it is written.

    Parameters:
        problems: a line each.
    """

    def __init__(self, *problems: str) -> None:
        self.problems: Sequence[str] = problems
        super().__init__("\n".join(problems))


class KitService(Model, frozen=True, kw_only=True):
    """One service of a kit.

    Parameters:
        name: of the microservice.
        service: which of this project's.
        device: on the node: `/dev/serial/by-id/…`, `/dev/i2c-1`, `/dev/gpiochip0`; "" for a service without one.
        devices: on the node, of a service that takes several; its settings name them by the same paths.
        config: its settings.
        secrets: variables that the Controller fills from its secrets: `BROKER_PASSWORD: mqtt/password`; from 3.6.
        metrics_port: of the node, where health and metrics are published; by default they are not.
        page_port: of the node, where the page of a service that has one is published; by default it is not.
    """

    name: Name
    service: str
    device: str = ""
    devices: tuple[str, ...] = ()
    config: dict[str, Any] = {}
    secrets: dict[str, Secret] = {}
    metrics_port: PublishedPort | None = None
    page_port: PublishedPort | None = None

    @property
    def written(self) -> tuple[Any, ...]:
        """All that may hold `$name`."""
        return (self.device, list(self.devices), self.config)


class KitRoute(Model, frozen=True, kw_only=True, rename={"source": "from"}):
    """Messages from one service to another, until 3.6; later generations carry them by NATS.

    Parameters:
        source: microservice of the kit, `from` in the file.
        to: microservice of the kit.
    """

    source: Name
    to: Name


class Kit(Model, frozen=True, kw_only=True):
    """What runs together on a node. `$name` as a whole value is replaced by the node's value, `$node` by its name.

    Parameters:
        services: at least one.
        defaults: values for nodes that have none of their own.
        routes: between its services.
    """

    services: Annotated[tuple[Annotated[KitService, Meta(title="a service")], ...], Meta(min_length=1)]
    defaults: dict[str, Any] = {}
    routes: tuple[Annotated[KitRoute, Meta(title="a route")], ...] = ()


class Node(Model, frozen=True, kw_only=True):
    """One node.

    Parameters:
        name: as ioFog knows it.
        kit: what runs there.
        ring: nodes that are deployed together, by RING=NAME.
        values: for `$name`.
        groups: numeric groups of devices, where this node differs.
    """

    name: Name
    kit: str
    ring: Name = "main"
    values: dict[str, Any] = {}
    groups: Groups = {}


class Fleet(Model, frozen=True, kw_only=True):
    """All nodes.

    Parameters:
        generation: of ioFog that the nodes run, a key of GENERATIONS; "" where it is given when rendering.
        registry: where images are, with their folder.
        registry_id: of a private registry, as the Controller (or Edgelet) numbers it; none for a public one.
        tag: of the images.
        link: where services of Edgelet alone send their messages: `mqtt://broker.example.com`.
        user: numeric user of the containers.
        groups: numeric groups that own devices on the nodes.
        kits: by name.
        nodes: at least one.
        api_version: `datasance.com/v3` for PoT; that of Eclipse ioFog by default, where it has the generation.
    """

    generation: str = ""
    api_version: Literal["iofog.org/v3", "datasance.com/v3", ""] = ""
    registry: Registry
    registry_id: Annotated[int, Meta(ge=1)] | None = None
    tag: Tag
    link: Link = ""
    user: Annotated[int, Meta(ge=1, le=65_535)] = 10_001
    groups: Groups = {}
    kits: Annotated[
        dict[Name, Annotated[Kit, Meta(title="a kit")]], Meta(extra_json_schema={"propertyNames": _KIT_NAMES})
    ]
    nodes: Annotated[tuple[Annotated[Node, Meta(title="a node")], ...], Meta(min_length=1)]

    def api_version_for(self, generation: str) -> str:
        """The apiVersion of manifests. Raises FleetError for one that the generation's tool refuses."""
        accepted = GENERATIONS[generation].api_versions
        if self.api_version and self.api_version not in accepted:
            raise FleetError(f"api_version {self.api_version}: {generation} takes {' or '.join(accepted)}")
        return self.api_version or accepted[0]

    def rings(self) -> dict[str, list[Node]]:
        """Nodes by their ring, in the order of the file."""
        rings: dict[str, list[Node]] = {}
        for node in self.nodes:
            rings.setdefault(node.ring, []).append(node)
        return rings


def values_used(value: Any) -> set[str]:
    """Names that are written as `$name` anywhere in a value."""
    found: list[str] = []
    mapped(value, lambda text: found.extend(_VALUE.findall(text)))
    return set(found)


def replaced(value: Any, values: dict[str, Any]) -> Any:
    """A value with each `$name` replaced."""
    return mapped(value, lambda text: values[text[1:]] if _VALUE.search(text) else text)
