"""A fleet: what runs on which nodes, as an operator writes it down."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from ..generations import GENERATIONS
from ..services import Bus, Model, Name

NODE = "node"
"""`$node` is the node's own name."""
_VALUE = re.compile(r"\$([a-z][a-z0-9-]*)")

Gid = Annotated[int, Meta(ge=0, le=65_535)]
_BUSES = {
    "enum": ["serial", "i2c", "gpio"],
    "errorMessage": {"enum": "there is no bus {value!r}"},
    "remedy": "Write serial, i2c or gpio.",
}
Groups = Annotated[dict[Bus, Gid], Meta(extra_json_schema={"propertyNames": _BUSES})]
_KIT_NAMES = {
    "pattern": "^[a-z]([a-z0-9-]{0,40}[a-z0-9])?$",
    "errorMessage": {"pattern": "{value!r} cannot be the name of a kit"},
    "remedy": "Write lower-case letters, digits and hyphens.",
}
Secret = Annotated[
    str,
    Meta(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$", extra_json_schema={"remedy": "Write it like mqtt/password."}),
]
Registry = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$",
        extra_json_schema={"remedy": "Write host and folder alone, like registry.example.com/iofog."},
    ),
]
Tag = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.-]{1,128}$",
        extra_json_schema={"remedy": "Write letters, digits and _.-, in quotes if they could be a number."},
    ),
]
Link = Annotated[
    str,
    Meta(
        pattern=r"^$|^(mqtts?|nats|tls|agent)://[^\s\"]+$",
        extra_json_schema={"remedy": "Write it like mqtt://broker.example.com."},
    ),
]


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
        config: its settings.
        secrets: variables that the Controller fills from its secrets: `BROKER_PASSWORD: mqtt/password`; from 3.6.
        metrics_port: of the node, where health and metrics are published; by default they are not.
    """

    name: Name
    service: str
    device: str = ""
    config: dict[str, Any] = {}
    secrets: dict[str, Secret] = {}
    metrics_port: Annotated[int, Meta(ge=1, le=65_535)] | None = None


class KitRoute(Model, frozen=True, kw_only=True, rename={"source": "from"}):
    """Messages from one service to another, until 3.6; later generations carry them by NATS.

    Parameters:
        source: microservice of the kit, `from` in the file.
        to: microservice of the kit.
    """

    source: Name
    to: Name


class Kit(Model, frozen=True, kw_only=True):
    """What runs together on a node. `$name` as a whole value stands for what each node says, `$node` for its name.

    Parameters:
        services: at least one.
        defaults: values for nodes that say nothing.
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
        generation: of ioFog that the nodes run, a key of GENERATIONS; "" where it is said when rendering.
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
        """What manifests say. Raises FleetError for what the generation's tool refuses."""
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


def values_used(value: Any) -> Iterator[str]:
    """Names that are written as `$name` anywhere in a value."""
    if isinstance(value, str):
        if match := _VALUE.fullmatch(value):
            yield match[1]
    elif isinstance(value, dict):
        for inner in value.values():
            yield from values_used(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from values_used(inner)


def replaced(value: Any, values: dict[str, Any]) -> Any:
    """A value with each `$name` replaced."""
    if isinstance(value, str):
        match = _VALUE.fullmatch(value)
        return values[match[1]] if match else value
    if isinstance(value, dict):
        return {key: replaced(inner, values) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [replaced(inner, values) for inner in value]
    return value
