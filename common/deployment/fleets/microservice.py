"""One service as a microservice of each ioFog generation: its device, its rights, its settings.

Values are plain, or a template's placeholders.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workspace.services import STATE, Bus, bus_of_path, needs_of

from ..generations import GENERATIONS
from .model import FleetError, KitService

TMP_MIB = 16
MEMORY_MIB = 96
CDI_VENDOR = "iofog.local"
METRICS_PORT = 8080
_BY_NAME = "bridges"
PAGE_PORT = 8000
_EDGELET_API = "edgelet.iofog.org/v1"
_POSITION_ROLE = {"kind": "Role", "name": "node-position"}
HEALTH = {"test": ["CMD", "/app/healthy"], "interval": 30, "timeout": 5, "startPeriod": 60, "retries": 3}
"""The image's own; containerd reads it from here."""


@dataclass(frozen=True)
class Placed:
    """A service on a node, with everything that its manifest needs.

    Parameters:
        service: from the kit.
        image: with registry and tag.
        node: it runs on.
        device: on the node, "" for a service without one.
        devices: on the node, of a service that takes several.
        config: settings.
        user: that the container runs as.
        group: that owns the device, or the user's own; in a template for CDI, the variable of user and group.
        registry: id of a private one.
        link: where it sends its messages, with Edgelet alone.
        owner: its kit or application, whose services have their own state.
    """

    service: KitService
    image: str
    node: str
    device: str
    config: dict[str, Any]
    user: str
    group: str
    registry: int | None = None
    link: str = ""
    owner: str = ""
    devices: tuple[str, ...] = ()

    @property
    def bus(self) -> Bus | None:
        """Kind of its device, if it has one."""
        return needs_of(self.service.service).bus

    def inside(self, generation: str) -> str:
        """The device's path in the container: that of a serial adapter does not depend on the node's."""
        return f"/dev/{self.service.name}" if self.bus == "serial" and generation != "3.0" else self.device

    def settings(self, generation: str) -> dict[str, Any]:
        """Its settings, with the device's path in them. Raises FleetError."""
        whole = dict(self.config)
        setting = needs_of(self.service.service).device_setting
        if setting:
            *path, last = setting.split(".")
            place = whole
            for part in path:
                place[part] = dict(self._members(place, part))
                place = place[part]
            place.setdefault(last, self.inside(generation))
        for member, internal, _ in self.published:
            published = {"host": "0.0.0.0", "port": internal}  # noqa: S104 - outside the port is as mapped
            whole[member] = published | self._members(whole, member)
        return whole

    @property
    def published(self) -> list[tuple[str, int, int]]:
        """Ports: member of the settings that names each, port in the container, port of the node."""
        one, page = self.service, needs_of(self.service.service).page_setting
        ports = [("http", METRICS_PORT, one.metrics_port), (page, PAGE_PORT, one.page_port)]
        return [(member, internal, external) for member, internal, external in ports if external is not None]

    @property
    def reports_position(self) -> bool:
        """Whether it reports the node's position, which Edgelet allows by a role of its own."""
        setting = needs_of(self.service.service).position_setting
        return bool(setting and self.config.get(setting))

    def _members(self, holder: dict[str, Any], name: str) -> dict[str, Any]:
        found = holder.get(name, {})
        if not isinstance(found, dict):
            remedy = "Write its members; one is added to them"
            raise FleetError(f"service {self.service.name}: config.{name} = {found!r} is not a mapping. {remedy}")
        return found


def microservice(placed: Placed, generation: str) -> dict[str, Any]:
    """As an Application lists it."""
    architectures = ("x86", "arm") if GENERATIONS[generation].is_java else ("amd64", "arm64", "arm")
    return {
        "name": placed.service.name,
        "agent": {"name": placed.node},
        "images": dict.fromkeys(architectures, placed.image) | {"registry": placed.registry or "remote"},
        **nats_access(generation),
        **({"serviceAccount": {"roleRef": _POSITION_ROLE}} if needs_position_role(placed, generation) else {}),
        "container": _container(placed, generation),
        "config": placed.settings(generation),
    }


def needs_position_role(placed: Placed, generation: str) -> bool:
    """Whether its token must allow more than the default one does: nodes of Java agents have no tokens."""
    return placed.reports_position and not GENERATIONS[generation].is_java


def position_role(api_version: str) -> dict[str, Any]:
    """The Controller's default role of microservices, and the position of the node."""
    resources = ["microservices/config/self", "microservices/control/self", "auth/whoami", "system/gps"]
    rules = [
        {"apiGroups": [_EDGELET_API], "resources": resources, "verbs": ["get"]},
        {"apiGroups": [_EDGELET_API], "resources": ["system/gps"], "verbs": ["create"]},
    ]
    kind, name = _POSITION_ROLE.values()
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "rules": rules}


def nats_access(generation: str) -> dict[str, Any]:
    """The part of an application and of each of its microservices that allows NATS, where there is NATS."""
    return {"natsConfig": {"natsAccess": True}} if GENERATIONS[generation].has_nats else {}


def edgelet_microservice(placed: Placed, generation: str) -> dict[str, Any]:
    """For Edgelet alone, which applies no config and carries no messages: settings and link are variables."""
    if not placed.link:
        raise FleetError(
            "link is missing, and Edgelet alone carries no messages. Write link: mqtt://broker.example.com"
        )
    settings = {"IOFOG_LINK": placed.link, **dict(variables(placed.settings(generation)))}
    if needs_of(placed.service.service).receives and placed.link.startswith("mqtt"):
        settings["IOFOG_RECEIVE"] = "iofog/{application}/+/readings"
    env = [{"key": key, "value": value} for key, value in settings.items()]
    return {
        "apiVersion": GENERATIONS[generation].api_versions[0],
        "kind": "Microservice",
        "metadata": {"name": placed.service.name},
        "spec": {
            "image": placed.image,
            "registry": placed.registry or 1,
            "container": _container(placed, generation) | {"env": env},
        },
    }


def cdi_devices(placed: Placed) -> Iterator[tuple[Bus, dict[str, Any]]]:
    """Its entries in CDI files. A link is refused there: a udev rule gives the device a node of its own."""
    for bus, name, inside, device in _cdi_names(placed):
        node = {"path": inside, "hostPath": device, "permissions": "rw"}
        yield bus, {"name": name, "containerEdits": {"deviceNodes": [node]}}


def _cdi_names(placed: Placed) -> Iterator[tuple[Bus, str, str, str]]:
    """Bus, name, path in the container and on the node of each of its devices."""
    name = placed.service.name
    if placed.bus:
        yield placed.bus, name, placed.inside(""), placed.device
    for number, device in enumerate(placed.devices, 1):
        yield bus_of_path(device) or "serial", f"{name}-{number}", device, device


def variables(settings: dict[str, Any], prefix: str = "SETTING_") -> Iterator[tuple[str, str]]:
    """Settings as SETTING_A__B; lists, and objects by names that users choose, as JSON.

    Double quotes are no problem: there is no Controller.
    """
    for key, value in settings.items():
        name = f"{prefix}{key.upper()}"
        if isinstance(value, dict) and key != _BY_NAME:
            yield from variables(value, f"{name}__")
        else:
            yield name, value if isinstance(value, str) else json.dumps(value)


def _container(placed: Placed, generation: str) -> dict[str, Any]:
    known = GENERATIONS[generation]
    name = placed.service.name
    if placed.service.secrets and not known.has_secrets:
        remedy = "Mount a file and name it in the settings, as broker.password_file"
        raise FleetError(f"service {name}: {generation} cannot fill variables from secrets. {remedy}")
    volume = {"hostDestination": f"{name}-state", "containerDestination": STATE, "accessMode": "rw", "type": "volume"}
    if known.has_shared_volumes:
        volume |= {"hostDestination": f"{placed.owner}-{name}-state", "scope": "shared"}
    container: dict[str, Any] = {"volumes": [*_folders(placed, generation), volume]}
    if placed.published:
        container["ports"] = [
            {"internal": internal, "external": external, "protocol": "tcp"}
            for _, internal, external in placed.published
        ]
    if "rootHostAccess" in known.container:
        if placed.bus is None and not placed.devices:
            return container | {"rootHostAccess": False}
        # Its agent runs every container privileged, whatever is written; /dev as a whole survives replugging.
        dev = {"hostDestination": "/dev", "containerDestination": "/dev", "accessMode": "rw", "type": "bind"}
        return container | {"rootHostAccess": True, "volumes": [dev, volume]}
    container |= {"isPrivileged": False, "capDrop": ["ALL"], "memoryLimit": MEMORY_MIB}
    if "healthCheck" in known.container:
        container["healthCheck"] = HEALTH
    if known.has_cdi_only:
        # Edgelet gives a volume to a user that is a number alone, else to root.
        both = placed.group if placed.group.startswith("{{ user-") else f"{placed.user}:{placed.group}"
        container["runAsUser"] = both if placed.bus or placed.devices or known.is_java else placed.user
        if cdi := [f"{CDI_VENDOR}/{bus}={each}" for bus, each, _, _ in _cdi_names(placed)]:
            container["cdiDevices"] = cdi
    else:
        container |= {"runAsUser": placed.user, "runAsGroup": placed.group}
        paths = [(placed.device, placed.inside(generation))] if placed.bus else []
        paths += [(device, device) for device in placed.devices]
        if paths:
            container["devices"] = [
                {"hostPath": device, "containerPath": inside, "permissions": "rw"} for device, inside in paths
            ]
        tmpfs = [{"containerPath": "/tmp", "size": TMP_MIB}]  # noqa: S108 - the container's own
        container |= {"readOnlyRootFilesystem": True, "tmpfs": tmpfs}
    env = list(_variables(placed, generation))
    return container | ({"env": env} if env else {})


def _folders(placed: Placed, generation: str) -> Iterator[dict[str, Any]]:
    """What of the node it reads. Nothing where an agent would bind it writable: a container has a /sys by itself."""
    folder = needs_of(placed.service.service).folder
    if folder and not GENERATIONS[generation].is_java:
        yield {"hostDestination": folder, "containerDestination": folder, "accessMode": "ro", "type": "bind"}


def _variables(placed: Placed, generation: str) -> Iterator[dict[str, Any]]:
    known = GENERATIONS[generation]
    if known.has_nats and known.is_java:  # which gives a container its credentials, but not the address of NATS
        yield {"key": "NATS_SERVER_URL", "value": f"nats://system-{placed.node}.nats:4222"}
    if known.has_nats and needs_of(placed.service.service).receives:
        yield {"key": "IOFOG_RECEIVE", "value": "iofog.readings.{application}.>"}
    for key, secret in placed.service.secrets.items():
        yield {"key": key, "valueFromSecret": secret}
