"""A fleet: what runs on which nodes, as an operator writes it down."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ..generations import GENERATIONS

Bus = Literal["serial", "i2c", "gpio"]
Name = Annotated[str, Meta(pattern=r"^[a-z]([a-z0-9-]{0,40}[a-z0-9])?$")]
Gid = Annotated[int, Meta(ge=0, le=65_535)]
PublishedPort = Annotated[int, Meta(ge=1, le=65_535)]

_VALUE = re.compile(r"\$([a-z][a-z0-9-]*)")
NODE = "node"
"""`$node` is the node's own name."""


class FleetError(Exception):
    """A fleet that cannot be deployed as it is written."""


class _Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Example(_Model, frozen=True, kw_only=True):
    """A service as the manifests in `deploy/` show it.

    Parameters:
        name: of the microservice.
        device: on the node, "" for a service without one.
        config: its settings.
        page_port: of the node, where its page is published.
    """

    name: Name
    device: str = ""
    config: dict[str, Any] = {}
    page_port: PublishedPort | None = None


class Needs(_Model, frozen=True, kw_only=True):
    """What a container of a service needs, from the service's own `deploy.toml`.

    Parameters:
        bus: kind of its device; None for a service without one.
        device_setting: where its settings name the device, "" where they do not.
        receives: whether it wants the readings of its application, where no routes bring them.
        page_setting: member of its settings with `host` and `port` of a page for people, "" without one.
        demo_with: services that a demo runs beside it, for something to receive.
        example: for `deploy/`.
    """

    bus: Bus | None = None
    device_setting: str = ""
    receives: bool = False
    page_setting: str = ""
    demo_with: tuple[str, ...] = ()
    example: Example


class KitService(_Model, frozen=True, kw_only=True):
    """One service of a kit.

    Parameters:
        name: of the microservice.
        service: which of this project's.
        device: on the node: `/dev/serial/by-id/…`, `/dev/i2c-1`, `/dev/gpiochip0`; "" for a service without one.
        config: its settings.
        secrets: variables that the Controller fills from its secrets: `BROKER_PASSWORD: mqtt/password`; from 3.7.
        metrics_port: of the node, where health and metrics are published; by default they are not.
        page_port: of the node, where the page of a service that has one is published; by default it is not.
    """

    name: Name
    service: str
    device: str = ""
    config: dict[str, Any] = {}
    secrets: dict[str, Annotated[str, Meta(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")]] = {}
    metrics_port: PublishedPort | None = None
    page_port: PublishedPort | None = None


class KitRoute(_Model, frozen=True, kw_only=True, rename={"source": "from"}):
    """Messages of one service to another, in 3.0; later generations carry them by NATS.

    Parameters:
        source: microservice of the kit, `from` in the file.
        to: microservice of the kit.
    """

    source: Name
    to: Name


class Kit(_Model, frozen=True, kw_only=True):
    """What runs together on a node. `$name` as a whole value stands for what each node says, `$node` for its name.

    Parameters:
        services: at least one.
        defaults: values for nodes that say nothing.
        routes: between its services.
    """

    services: Annotated[tuple[KitService, ...], Meta(min_length=1)]
    defaults: dict[str, Any] = {}
    routes: tuple[KitRoute, ...] = ()


class Node(_Model, frozen=True, kw_only=True):
    """One node.

    Parameters:
        name: as ioFog knows it.
        kit: what runs there.
        values: for `$name`.
        groups: numeric groups of devices, where this node differs.
    """

    name: Name
    kit: str
    values: dict[str, Any] = {}
    groups: dict[Bus, Gid] = {}


class Fleet(_Model, frozen=True, kw_only=True):
    """All nodes.

    Parameters:
        registry: where images are, with their folder.
        registry_id: of a private registry, as the Controller (or Edgelet) numbers it; none for a public one.
        tag: of the images.
        user: numeric user of the containers.
        groups: numeric groups that own devices on the nodes.
        kits: by name.
        nodes: at least one.
        api_version: `datasance.com/v3` for PoT; that of Eclipse ioFog by default, where it has the generation.
    """

    api_version: Literal["iofog.org/v3", "datasance.com/v3", ""] = ""
    registry: Annotated[str, Meta(pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$")]
    registry_id: Annotated[int, Meta(ge=1)] | None = None
    tag: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
    user: Annotated[int, Meta(ge=1, le=65_535)] = 10_001
    groups: dict[Bus, Gid] = {}
    kits: dict[Name, Kit]
    nodes: Annotated[tuple[Node, ...], Meta(min_length=1)]

    def api_version_for(self, generation: str) -> str:
        """What manifests say. Raises FleetError for what the generation's tool refuses."""
        taken = GENERATIONS[generation].api_versions
        if self.api_version and self.api_version not in taken:
            raise FleetError(f"api_version {self.api_version}: {generation} takes {' or '.join(taken)}")
        return self.api_version or taken[0]


def needs_of(service: str) -> Needs:
    """What a service needs. Raises FleetError for one that is not of this project."""
    spec = find_spec(service) if service.isidentifier() else None
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        with contextlib.suppress(OSError):
            return msgspec.toml.decode(Path(folder, "deploy.toml").read_bytes(), type=Needs)
    raise FleetError(f"service {service!r} is none of this project's: its folder needs a deploy.toml")


def values_used(value: Any) -> Iterator[str]:
    """Names that stand as `$name` anywhere in a value."""
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
