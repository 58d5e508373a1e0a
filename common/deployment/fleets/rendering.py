"""Manifests of a fleet for one ioFog generation: the same input gives the same text, for review as a diff."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import yaml

from workspace.services import Bus, needs_of

from ..generations import GENERATIONS
from .microservice import (
    CDI_VENDOR,
    Placed,
    cdi_devices,
    edgelet_microservice,
    microservice,
    nats_access,
    needs_position_role,
    position_role,
)
from .model import NODE, Fleet, Kit, Node, replaced, values_used


def render(fleet: Fleet, generation: str) -> Iterator[tuple[str, str]]:
    """Files of a fleet: name and text.

    Parameters:
        fleet: complete and consistent.
        generation: a key of GENERATIONS.
    """
    known = GENERATIONS[generation]
    if not known.is_edgelet_alone:
        used = [name for name in fleet.kits if any(node.kit == name for node in fleet.nodes)]
        yield (
            "templates.yaml",
            text([*_roles(fleet, generation), *(_template(fleet, name, generation) for name in used)]),
        )
    for node in fleet.nodes:
        placed = on_node(fleet, node)
        if known.is_edgelet_alone:
            yield f"nodes/{node.name}.yaml", text(edgelet_microservice(one, generation) for one in placed)
        else:
            yield f"nodes/{node.name}.yaml", text([_application(fleet, node, generation)])
        if known.has_cdi_only:
            for bus, file in cdi_files(placed):
                yield f"cdi/{node.name}/iofog-{bus}.yaml", text([file])
    rings = fleet.rings()
    if len(rings) > 1 and not known.is_edgelet_alone:
        for ring, nodes in rings.items():
            yield f"rings/{ring}.yaml", text(_application(fleet, node, generation) for node in nodes)


def on_node(fleet: Fleet, node: Node) -> list[Placed]:
    """Everything that runs on a node."""
    values = fleet.kits[node.kit].defaults | node.values | {NODE: node.name}
    return _placed(fleet, node.kit, values, lambda bus: str(_gid(fleet, node, bus)))


def _placed(fleet: Fleet, kit: str, values: dict[str, Any], group: Callable[[Bus | None], str]) -> list[Placed]:
    return [
        Placed(
            service=one,
            image=f"{fleet.registry}/{one.service}:{fleet.tag}",
            node=str(values[NODE]),
            device=str(replaced(one.device, values)),
            devices=tuple(str(replaced(device, values)) for device in one.devices),
            config=replaced(one.config, values),
            user=str(fleet.user),
            group=group(needs_of(one.service).bus),
            registry=fleet.registry_id,
            link=fleet.link,
            owner=kit,
        )
        for one in fleet.kits[kit].services
    ]


def cdi_files(placed: Iterable[Placed]) -> Iterator[tuple[Bus, dict[str, Any]]]:
    """Files for /etc/cdi of a node, one for each bus."""
    devices: dict[Bus, list[dict[str, Any]]] = {}
    for one in placed:
        for bus, device in cdi_devices(one):
            devices.setdefault(bus, []).append(device)
    for bus in sorted(devices):
        yield bus, {"cdiVersion": "0.6.0", "kind": f"{CDI_VENDOR}/{bus}", "devices": devices[bus]}


def text(documents: Iterable[Any]) -> str:
    """YAML, each document after its dashes."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

    class Plain(dumper):  # type: ignore[misc, valid-type]  # one of two
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return str(yaml.dump_all(list(documents), Dumper=Plain, sort_keys=False, explicit_start=True, width=110))


def _gid(fleet: Fleet, node: Node, bus: Bus | None) -> int | None:
    return fleet.user if bus is None else node.groups.get(bus, fleet.groups.get(bus))


def _roles(fleet: Fleet, generation: str) -> list[dict[str, Any]]:
    everything = (one for node in fleet.nodes for one in on_node(fleet, node))
    needed = any(needs_position_role(one, generation) for one in everything)
    return [position_role(fleet.api_version_for(generation))] if needed else []


def _template(fleet: Fleet, name: str, generation: str) -> dict[str, Any]:
    kit = fleet.kits[name]
    used = {value for one in kit.services for value in values_used(list(one.written))}
    names = sorted(used - {NODE})
    variables: list[dict[str, Any]] = [{"key": "agent"}]
    variables += [{"key": key} | _default(kit, key) for key in names]
    if "runAsUser" in GENERATIONS[generation].container:
        variables += [{"key": f"{_identity(generation)}-{bus}"} for bus in _buses(kit)]
    placeholders = {key: f"{{{{ {key} }}}}" for key in names} | {NODE: "{{ agent }}"}
    identity = _identity(generation)
    placed = _placed(fleet, name, placeholders, lambda bus: f"{{{{ {identity}-{bus} }}}}" if bus else str(fleet.user))
    application = nats_access(generation) | {"microservices": [microservice(one, generation) for one in placed]}
    if GENERATIONS[generation].has_routes and kit.routes:
        application["routes"] = [
            {"name": f"{route.source}-to-{route.to}", "from": route.source, "to": route.to} for route in kit.routes
        ]
    return {
        "apiVersion": fleet.api_version_for(generation),
        "kind": "ApplicationTemplate",
        "metadata": {"name": name},
        "spec": {"variables": variables, "application": application},
    }


def _default(kit: Kit, key: str) -> dict[str, Any]:
    return {"defaultValue": kit.defaults[key]} if key in kit.defaults else {}


def _identity(generation: str) -> str:
    """The variable for a container's user and group, or for the group alone."""
    return "user" if GENERATIONS[generation].has_cdi_only else "gid"


def _buses(kit: Kit) -> list[Bus]:
    return sorted({bus for one in kit.services if (bus := needs_of(one.service).bus)})


def _application(fleet: Fleet, node: Node, generation: str) -> dict[str, Any]:
    given: dict[str, Any] = {"agent": node.name} | dict(sorted(node.values.items()))
    for bus in _buses(fleet.kits[node.kit]):
        gid = _gid(fleet, node, bus)
        if GENERATIONS[generation].has_cdi_only:
            given[f"user-{bus}"] = f"{fleet.user}:{gid}"
        elif GENERATIONS[generation].has_devices:
            given[f"gid-{bus}"] = str(gid)
    variables = [{"key": key, "value": value} for key, value in given.items()]
    return {
        "apiVersion": fleet.api_version_for(generation),
        "kind": "Application",
        "metadata": {"name": f"{node.kit}-{node.name}"},
        "spec": {"template": {"name": node.kit, "variables": variables}},
    }
