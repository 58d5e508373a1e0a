"""One service as a microservice of each ioFog generation: its device, its rights, its settings.

Whoever calls gives plain values, or a template's placeholders in their place.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..generations import GENERATIONS
from .model import Bus, FleetError, KitService, Needs, needs_of

STATE = "/var/lib/bridge"
TMP_MIB = 16
MEMORY_MIB = 96
CDI_VENDOR = "iofog.local"
METRICS_PORT = 8080
PAGE_PORT = 8000
HEALTH = {"test": ["CMD", "/app/healthy"], "interval": 30, "timeout": 5, "startPeriod": 60, "retries": 3}
"""The image's own; containerd reads it from here."""


@functools.cache
def needs(service: str) -> Needs:
    """What a service needs. Raises FleetError."""
    return needs_of(service)


@dataclass(frozen=True)
class Placed:
    """A service with all that is said about it.

    Parameters:
        service: from the kit.
        image: with registry and tag.
        node: it runs on.
        device: on the node, "" for a service without one.
        config: settings.
        user: that the container runs as.
        group: that owns the device, or the user's own.
        registry: id of a private one.
    """

    service: KitService
    image: str
    node: str
    device: str
    config: dict[str, Any]
    user: str
    group: str
    registry: int | None = None

    @property
    def bus(self) -> Bus | None:
        """Kind of its device, if it has one."""
        return needs(self.service.service).bus

    def inside(self, generation: str) -> str:
        """What the device is called in the container: a serial adapter has one name, whatever it is outside."""
        return f"/dev/{self.service.name}" if self.bus == "serial" and generation != "3.0" else self.device

    def settings(self, generation: str) -> dict[str, Any]:
        """Its config, with the device where the service looks for it. Raises FleetError."""
        whole = dict(self.config)
        setting = needs(self.service.service).device_setting
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
        one = self.service
        ports = [
            ("http", METRICS_PORT, one.metrics_port),
            (needs(one.service).page_setting, PAGE_PORT, one.page_port),
        ]
        return [(member, internal, external) for member, internal, external in ports if external is not None]

    def _members(self, holder: dict[str, Any], name: str) -> dict[str, Any]:
        found = holder.get(name, {})
        if not isinstance(found, dict):
            remedy = "Write its members; one more is put in"
            raise FleetError(f"service {self.service.name}: config.{name} = {found!r} is no mapping. {remedy}")
        return found


def microservice(placed: Placed, generation: str) -> dict[str, Any]:
    """As it stands in an Application."""
    architectures = ("x86", "arm") if GENERATIONS[generation].is_java else ("amd64", "arm64", "arm")
    return {
        "name": placed.service.name,
        "agent": {"name": placed.node},
        "images": dict.fromkeys(architectures, placed.image) | {"registry": placed.registry or "remote"},
        **nats_access(generation),
        "container": _container(placed, generation),
        "config": placed.settings(generation),
    }


def nats_access(generation: str) -> dict[str, Any]:
    """What an application and each of its microservices need where NATS carries messages."""
    return {"natsConfig": {"natsAccess": True}} if GENERATIONS[generation].has_nats else {}


def edgelet_microservice(placed: Placed) -> dict[str, Any]:
    """For Edgelet alone, which applies no config: settings are variables."""
    container = _container(placed, "edgelet")
    settings = [*variables(placed.settings("edgelet")), *hears(placed)]
    return {
        "apiVersion": "edgelet.iofog.org/v1",
        "kind": "Microservice",
        "metadata": {"name": placed.service.name},
        "spec": {
            "image": placed.image,
            "registry": placed.registry or 1,
            "container": container | {"env": [{"key": key, "value": value} for key, value in settings]},
        },
    }


def hears(placed: Placed) -> list[tuple[str, str]]:
    """Variables by which a service that wants it gets the readings of its application, where there are no routes."""
    wanted = needs(placed.service.service).receives
    return [("IOFOG_RECEIVE", "iofog.readings.{application}.>")] if wanted else []


def cdi_device(placed: Placed) -> dict[str, Any]:
    """Its entry in a CDI file. A link cannot be named there: give the device a node of its own by a udev rule."""
    node = {"path": placed.inside("3.7"), "hostPath": placed.device, "permissions": "rw"}
    return {"name": placed.service.name, "containerEdits": {"deviceNodes": [node]}}


def variables(settings: dict[str, Any], prefix: str = "SETTING_") -> Iterator[tuple[str, str]]:
    """Settings as SETTING_A__B; lists as JSON. No double quotes reach a Controller this way, for there is none."""
    for key, value in settings.items():
        name = f"{prefix}{key.upper()}"
        if isinstance(value, dict):
            yield from variables(value, f"{name}__")
        else:
            yield name, value if isinstance(value, str) else json.dumps(value)


def _container(placed: Placed, generation: str) -> dict[str, Any]:
    known = GENERATIONS[generation]
    if placed.service.secrets and not known.has_secrets:
        remedy = "Mount a file and name it in the settings, as broker.password_file"
        raise FleetError(f"service {placed.service.name}: {generation} fills no variables from secrets. {remedy}")
    state = {"hostDestination": f"{placed.service.name}-state", "containerDestination": STATE}
    volumes: list[dict[str, Any]] = [state | {"accessMode": "rw", "type": "volume"}]
    container: dict[str, Any] = {"volumes": volumes}
    if placed.published:
        container["ports"] = [
            {"internal": internal, "external": external, "protocol": "tcp"}
            for _, internal, external in placed.published
        ]
    if "rootHostAccess" in known.container:
        if placed.bus is None:
            return container | {"rootHostAccess": False}
        # Its agent runs every container privileged, whatever is written; /dev as a whole survives replugging.
        dev = {"hostDestination": "/dev", "containerDestination": "/dev", "accessMode": "rw", "type": "bind"}
        return container | {"rootHostAccess": True, "volumes": [dev, *volumes]}
    container |= {"isPrivileged": False, "capDrop": ["ALL"], "memoryLimit": MEMORY_MIB, "healthCheck": HEALTH}
    told: list[dict[str, Any]] = [{"key": key, "value": value} for key, value in hears(placed)]
    told = told if known.has_nats else []
    told += [{"key": key, "valueFromSecret": secret} for key, secret in placed.service.secrets.items()]
    if known.has_cdi_only:
        if known.has_nats:  # it tells a container its credentials, but not where NATS is
            told.insert(0, {"key": "NATS_SERVER_URL", "value": f"nats://system-{placed.node}.nats:4222"})
        named = {"cdiDevices": [f"{CDI_VENDOR}/{placed.bus}={placed.service.name}"]} if placed.bus else {}
        container |= {"runAsUser": f"{placed.user}:{placed.group}"} | named
        return container | ({"env": told} if told else {})
    container |= {"runAsUser": placed.user, "runAsGroup": placed.group}
    if placed.bus:
        device = {"hostPath": placed.device, "containerPath": placed.inside(generation), "permissions": "rw"}
        container["devices"] = [device]
    tmpfs = [{"containerPath": "/tmp", "size": TMP_MIB}]  # noqa: S108 - the container's own
    container |= {"readOnlyRootFilesystem": True, "tmpfs": tmpfs}
    return container | ({"env": told} if told else {})
