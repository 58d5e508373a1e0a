"""Manifests of a fleet for one ioFog generation: the same input gives the same text, to be reviewed as a diff."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import yaml

from .fleet import Bus, Fleet, Kit, KitService, Needs, Node, needs_of, replaced, values_used

_STATE = "/var/lib/bridge"
_TMP_MIB = 16
_MEMORY_MIB = 96
_CDI_VENDOR = "iofog.local"


def render(fleet: Fleet, generation: str) -> Iterator[tuple[str, str]]:
    """Files of a fleet: name and text.

    Parameters:
        fleet: complete and consistent.
        generation: a key of GENERATIONS.
    """
    if generation == "edgelet":
        for node in fleet.nodes:
            yield f"nodes/{node.name}.yaml", _text(_edgelet(fleet, node))
        return
    used = [name for name in fleet.kits if any(node.kit == name for node in fleet.nodes)]
    yield "templates.yaml", _text(_template(fleet, name, generation) for name in used)
    for node in fleet.nodes:
        yield f"nodes/{node.name}.yaml", _text([_application(fleet, node, generation)])
        if generation == "3.7":
            for bus, devices in _cdi(fleet, node):
                yield f"cdi/{node.name}/iofog-{bus}.yaml", _text([devices])


@functools.cache
def _needs(service: str) -> Needs:
    return needs_of(service)


def _template(fleet: Fleet, name: str, generation: str) -> dict[str, Any]:
    kit = fleet.kits[name]
    names = sorted({value for one in kit.services for value in values_used((one.device, one.config))})
    variables: list[dict[str, Any]] = [{"key": "agent"}]
    variables += [{"key": key} | _default(kit, key) for key in names]
    if generation != "3.0":
        variables += [{"key": f"{_identity(generation)}-{bus}"} for bus in _buses(kit)]
    placeholders = {key: f"{{{{ {key} }}}}" for key in names}
    return {
        "apiVersion": "iofog.org/v3",
        "kind": "ApplicationTemplate",
        "metadata": {"name": name},
        "spec": {
            "variables": variables,
            "application": {
                "microservices": [
                    _microservice(fleet, one, generation, replaced(_plain(one), placeholders)) for one in kit.services
                ]
            },
        },
    }


def _default(kit: Kit, key: str) -> dict[str, Any]:
    return {"defaultValue": kit.defaults[key]} if key in kit.defaults else {}


def _plain(one: KitService) -> dict[str, Any]:
    return {"device": one.device, "config": one.config}


def _identity(generation: str) -> str:
    """The variable that says who a container runs as: user and group in one, or the group alone."""
    return "user" if generation == "3.7" else "gid"


def _buses(kit: Kit) -> list[Bus]:
    return sorted({_needs(one.service).bus for one in kit.services})


def _application(fleet: Fleet, node: Node, generation: str) -> dict[str, Any]:
    kit = fleet.kits[node.kit]
    given: dict[str, Any] = {"agent": node.name} | dict(sorted(node.values.items()))
    for bus in _buses(kit):
        gid = node.groups.get(bus, fleet.groups.get(bus))
        if generation == "3.7":
            given[f"user-{bus}"] = f"{fleet.user}:{gid}"
        elif generation == "3.8":
            given[f"gid-{bus}"] = str(gid)
    variables = [{"key": key, "value": value} for key, value in given.items()]
    return {
        "apiVersion": "iofog.org/v3",
        "kind": "Application",
        "metadata": {"name": f"{node.kit}-{node.name}"},
        "spec": {"template": {"name": node.kit, "variables": variables}},
    }


def _microservice(fleet: Fleet, one: KitService, generation: str, own: dict[str, Any]) -> dict[str, Any]:
    needs = _needs(one.service)
    image = f"{fleet.registry}/{one.service}:{fleet.tag}"
    architectures = ("x86", "arm") if generation in ("3.0", "3.7") else ("amd64", "arm64", "arm")
    container = _container(one, needs, generation, own["device"])
    if generation == "3.7":
        container["runAsUser"] = f"{{{{ user-{needs.bus} }}}}"
    elif generation == "3.8":
        container["runAsUser"] = str(fleet.user)
        container["runAsGroup"] = f"{{{{ gid-{needs.bus} }}}}"
    return {
        "name": one.name,
        "agent": {"name": "{{ agent }}"},
        "images": dict.fromkeys(architectures, image) | {"registry": "remote"},
        "container": container,
        "config": _config(needs, own["config"], _inside(needs, generation, one.name, own["device"])),
    }


def _container(one: KitService, needs: Needs, generation: str, device: str) -> dict[str, Any]:
    state = {"hostDestination": f"{one.name}-state", "containerDestination": _STATE, "accessMode": "rw"}
    container: dict[str, Any] = {
        "env": [{"key": "STATE_DIRECTORY", "value": _STATE}],
        "volumes": [state | {"type": "volume"}],
    }
    if generation == "3.0":
        # Its agent runs every container privileged, whatever is written; /dev as a whole survives replugging.
        dev = {"hostDestination": "/dev", "containerDestination": "/dev", "accessMode": "rw", "type": "bind"}
        container |= {"rootHostAccess": True, "volumes": [dev, *container["volumes"]]}
        return container
    container |= {"isPrivileged": False, "capDrop": ["ALL"], "memoryLimit": _MEMORY_MIB}
    if generation == "3.7":
        container["cdiDevices"] = [f"{_CDI_VENDOR}/{needs.bus}={one.name}"]
        return container
    inside = _inside(needs, generation, one.name, device)
    container["devices"] = [{"hostPath": device, "containerPath": inside, "permissions": "rw"}]
    container["readOnlyRootFilesystem"] = True
    container["tmpfs"] = [{"containerPath": "/tmp", "size": _TMP_MIB}]  # noqa: S108 - the container's own
    return container


def _inside(needs: Needs, generation: str, name: str, device: str) -> str:
    """What the device is called in the container: a serial adapter has one name for ever, whatever it is outside."""
    return f"/dev/{name}" if needs.bus == "serial" and generation != "3.0" else device


def _config(needs: Needs, config: dict[str, Any], inside: str) -> dict[str, Any]:
    """Settings, with the device where the service looks for it."""
    if not needs.device_setting:
        return config
    whole = dict(config)
    *path, last = needs.device_setting.split(".")
    place = whole
    for part in path:
        place[part] = dict(place.get(part, {}))
        place = place[part]
    place.setdefault(last, inside)
    return whole


def _cdi(fleet: Fleet, node: Node) -> Iterator[tuple[Bus, dict[str, Any]]]:
    """Files for /etc/cdi of a node. A link cannot be named there: give devices names by a udev rule."""
    kit = fleet.kits[node.kit]
    values = kit.defaults | node.values
    for bus in _buses(kit):
        devices = []
        for one in kit.services:
            needs = _needs(one.service)
            if needs.bus == bus:
                device = replaced(one.device, values)
                inside = _inside(needs, "3.7", one.name, device)
                edits = {"deviceNodes": [{"path": inside, "hostPath": device, "permissions": "rw"}]}
                devices.append({"name": one.name, "containerEdits": edits})
        yield bus, {"cdiVersion": "0.6.0", "kind": f"{_CDI_VENDOR}/{bus}", "devices": devices}


def _edgelet(fleet: Fleet, node: Node) -> Iterator[dict[str, Any]]:
    """Microservices for Edgelet alone, which applies no config: settings are variables."""
    kit = fleet.kits[node.kit]
    for one in kit.services:
        needs = _needs(one.service)
        own = replaced(_plain(one), kit.defaults | node.values)
        container = _container(one, needs, "edgelet", own["device"])
        gid = node.groups.get(needs.bus, fleet.groups.get(needs.bus))
        container |= {"runAsUser": str(fleet.user), "runAsGroup": str(gid)}
        config = _config(needs, own["config"], _inside(needs, "edgelet", one.name, own["device"]))
        container["env"] += [{"key": key, "value": value} for key, value in _variables(config, "SETTING_")]
        yield {
            "apiVersion": "edgelet.iofog.org/v1",
            "kind": "Microservice",
            "metadata": {"name": one.name},
            "spec": {"image": f"{fleet.registry}/{one.service}:{fleet.tag}", "registry": 1, "container": container},
        }


def _variables(config: dict[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Settings as SETTING_A__B; lists as JSON. No double quotes reach a Controller this way, for there is none."""
    import json  # noqa: PLC0415 - this generation alone

    for key, value in config.items():
        name = f"{prefix}{key.upper()}"
        if isinstance(value, dict):
            yield from _variables(value, f"{name}__")
        else:
            yield name, value if isinstance(value, str) else json.dumps(value)


def _text(documents: Any) -> str:
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

    class Plain(dumper):  # type: ignore[misc, valid-type]  # one of two
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return str(yaml.dump_all(list(documents), Dumper=Plain, sort_keys=False, explicit_start=True, width=110))
