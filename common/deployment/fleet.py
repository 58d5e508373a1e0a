"""A fleet: what runs on which nodes, as an operator writes it down."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta

from .container import check_config

Bus = Literal["serial", "i2c", "gpio"]
Name = Annotated[str, Meta(pattern=r"^[a-z]([a-z0-9-]{0,40}[a-z0-9])?$")]
Gid = Annotated[int, Meta(ge=0, le=65_535)]

_VALUE = re.compile(r"\$([a-z][a-z0-9-]*)")


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
    """

    name: Name
    device: str = ""
    config: dict[str, Any] = {}


class Needs(_Model, frozen=True, kw_only=True):
    """What a container of a service needs, from the service's own `deploy.toml`.

    Parameters:
        bus: kind of its device; None for a service without one.
        device_setting: where its settings name the device, "" where they do not.
        receives: whether it wants the readings of its application, where no routes bring them.
        example: for `deploy/`.
    """

    bus: Bus | None = None
    device_setting: str = ""
    receives: bool = False
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
    """

    name: Name
    service: str
    device: str = ""
    config: dict[str, Any] = {}
    secrets: dict[str, Annotated[str, Meta(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")]] = {}
    metrics_port: Annotated[int, Meta(ge=1, le=65_535)] | None = None


class KitRoute(_Model, frozen=True, kw_only=True, rename={"source": "from"}):
    """Messages of one service to another, in 3.0; later generations carry them by NATS.

    Parameters:
        source: microservice of the kit, `from` in the file.
        to: microservice of the kit.
    """

    source: Name
    to: Name


class Kit(_Model, frozen=True, kw_only=True):
    """What runs together on a node. `$name` as a whole value stands for what each node says.

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
        tag: of the images.
        user: numeric user of the containers.
        groups: numeric groups that own devices on the nodes.
        kits: by name.
        nodes: at least one.
        api_version: `datasance.com/v3` for PoT.
    """

    api_version: Literal["iofog.org/v3", "datasance.com/v3"] = "iofog.org/v3"
    registry: Annotated[str, Meta(pattern=r"^[a-z0-9.:/_-]+$")]
    tag: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
    user: Annotated[int, Meta(ge=1, le=65_535)] = 10_001
    groups: dict[Bus, Gid] = {}
    kits: dict[Name, Kit]
    nodes: Annotated[tuple[Node, ...], Meta(min_length=1)]


def read_fleet(file: Path) -> Fleet:
    """A fleet out of its file. Raises FleetError."""
    try:
        with file.open("rb") as stream:
            fleet = msgspec.convert(yaml.load(stream, _loader()), Fleet)  # noqa: S506 - a safe loader, in C
    except OSError as error:
        raise FleetError(f"{file}: {error.strerror}") from None
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise FleetError(f"{file}: {error}") from None
    _check(fleet, file)
    return fleet


def needs_of(service: str) -> Needs:
    """What a service needs. Raises FleetError for one that is not of this project."""
    try:
        folder = Path(import_module(service).__path__[0]) if service.isidentifier() else None
        data = (folder / "deploy.toml").read_bytes() if folder else b""
    except (ImportError, AttributeError, OSError):
        folder = None
    if folder is None:
        raise FleetError(f"service {service!r} is none of this project's: its folder needs a deploy.toml")
    return msgspec.toml.decode(data, type=Needs)


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


def _loader() -> type[yaml.SafeLoader]:
    loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return loader


def _check(fleet: Fleet, file: Path) -> None:
    for name, kit in fleet.kits.items():
        twice = [service for service, count in Counter(one.name for one in kit.services).items() if count > 1]
        if twice:
            raise FleetError(f"{file}: kit {name}: service {twice[0]!r} stands twice")
        for one in kit.services:
            needs_of(one.service)
            _refuse(one.config, f"{file}: kit {name}, service {one.name}")
        _refuse(kit.defaults, f"{file}: kit {name}, defaults")
        known = [one.name for one in kit.services]
        for end in (end for route in kit.routes for end in (route.source, route.to)):
            if end not in known:
                raise FleetError(f"{file}: kit {name}: a route names {end!r}; there are {', '.join(known)}")
    for name, count in Counter(node.name for node in fleet.nodes).items():
        if count > 1:
            raise FleetError(f"{file}: node {name!r} stands twice")
    for node in fleet.nodes:
        _check_node(node, fleet, file)


def _check_node(node: Node, fleet: Fleet, file: Path) -> None:
    where = f"{file}: node {node.name}"
    kit = fleet.kits.get(node.kit)
    if kit is None:
        raise FleetError(f"{where}: there is no kit {node.kit!r}; there are {', '.join(fleet.kits)}")
    used = {name for one in kit.services for name in values_used((one.device, one.config))}
    if missing := sorted(used - set(kit.defaults) - set(node.values)):
        raise FleetError(f"{where}: a value for ${missing[0]} is missing; give it here or under the kit's defaults")
    if unknown := sorted(set(node.values) - used):
        raise FleetError(f"{where}: value {unknown[0]!r} is not used by kit {node.kit}")
    _refuse(node.values, where)
    for one in kit.services:
        bus = needs_of(one.service).bus
        if bus is None:
            if one.device:
                raise FleetError(f"{where}: {one.name} has no device; {one.service} needs none")
            continue
        if bus not in fleet.groups and bus not in node.groups:
            raise FleetError(f"{where}: group of {bus} devices is missing (stat -c %g {one.device} on the node)")
        device = str(replaced(one.device, kit.defaults | node.values))
        if not device.startswith("/dev/"):
            raise FleetError(f"{where}: device {device!r} of {one.name} is not below /dev")


def _refuse(values: Any, where: str) -> None:
    """What ioFog would corrupt."""
    for _, rule, remedy in check_config(values, (), in_template=False):
        raise FleetError(f"{where}: {rule}. {remedy}")
