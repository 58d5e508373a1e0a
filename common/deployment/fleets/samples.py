"""The manifests in `deploy/`: each service alone on one node, of each generation, and by Docker Compose.

They come from each service's `deploy.toml`, by the same code as those of a fleet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workspace.services import STATE, Bus, needs_of

from ..generations import GENERATIONS, Generation
from .microservice import (
    MEMORY_MIB,
    PAGE_PORT,
    TMP_MIB,
    Placed,
    edgelet_microservice,
    microservice,
    nats_access,
    variables,
)
from .model import KitService
from .rendering import cdi_files, text

REGISTRY = "registry.example.com/iofog"
_GROUPS: dict[Bus, str] = {"serial": "20", "i2c": "998", "gpio": "997"}
_USER = "10001"
_LINK = "mqtt://broker.example.com"
_SITE, _BROKER = "site", "mqtt://site-broker:1883"
_WRITTEN = "# Written by `make docs` from services/{service}/deploy.toml.\n"


def samples(services: list[str]) -> Iterator[tuple[str, str]]:
    """Files below `deploy/`: name and text."""
    for generation in GENERATIONS.values():
        folder, name = generation.folder, generation.name
        for service in services:
            placed, written = _placed(service), _WRITTEN.format(service=service)
            alone = generation.is_edgelet_alone
            manifest = edgelet_microservice(placed, name) if alone else _application(placed, name)
            yield f"{folder}/{service}.yaml", _head(placed, generation) + written + text([manifest])
            for bus, file in cdi_files([placed]) if generation.has_cdi_only else ():
                name_of_file = f"{service}-{bus}" if placed.devices else service
                head = (
                    f"# /etc/cdi/iofog-{name_of_file}.yaml of a node. hostPath has to be a device node, not a link.\n"
                )
                yield f"{folder}/cdi/{name_of_file}.yaml", head + written + text([file])
        if generation.is_java:
            head = "# The services in the Controller's catalogue; then `images: {catalogId: …}` in a microservice.\n"
            yield f"{folder}/catalog.yaml", head + text(_catalog_item(one, name) for one in services)
        if generation.has_routes and {"gps_receiver", "mqtt_bridge"} <= set(services):
            yield f"{folder}/route.yaml", _ROUTE_HEAD + text(_route(name))
    yield "compose.yaml", _COMPOSE_HEAD + text([_compose(services)]).removeprefix("---\n")


def _head(placed: Placed, generation: Generation) -> str:
    service = placed.service.service
    folder = needs_of(service).folder
    if folder and generation.is_java:
        way = f"It needs no device. Nothing is bound, for `ro` is ignored: a container has {folder} by itself."
    elif folder:
        way = f"It reads {folder} of the node, bound read-only, and is given no device."
    elif placed.devices:
        way = "Its devices and nothing else; udev gives all of them to the group of its user (deploy/udev)."
        if generation.has_cdi_only:
            way = f"Its devices come by CDI: copy cdi/{service}-*.yaml to /etc/cdi of the node."
        elif not generation.has_devices:
            way = "It sees the whole /dev of the node."
    elif placed.bus is None:
        way = "It needs no device and is given none."
    elif generation.has_devices:
        way = "Its device and nothing else; set runAsGroup to the group that owns it on the node."
    elif generation.has_cdi_only:
        way = f"Its device comes by CDI: copy cdi/{service}.yaml to /etc/cdi of the node."
    else:
        way = "It sees the whole /dev of the node."
    lines = [f"{service} on one node of {generation.name}. {way}", generation.not_enforced, generation.state]
    return "".join(f"# {line}\n" for line in lines)


_ROUTE_HEAD = """\
# After gps_receiver.yaml: a second microservice in its application, and a route: the messages of one reach the other.
# From 3.7 on there are no routes: NATS carries messages.
"""


def _route(generation: str) -> Iterator[dict[str, Any]]:
    application = _application(_placed("gps_receiver"), generation)["metadata"]["name"]
    source, to = _placed("gps_receiver"), _placed("mqtt_bridge")
    names = source.service.name, to.service.name
    head = {"apiVersion": GENERATIONS[generation].api_versions[0]}
    spec = microservice(to, generation)
    yield head | {
        "kind": "Microservice",
        "metadata": {"name": f"{application}/{spec.pop('name')}"},
        "spec": spec,
    }
    yield head | {
        "kind": "Route",
        "metadata": {"name": f"{application}/{'-to-'.join(names)}"},
        "spec": dict(zip(("from", "to"), names, strict=True)),
    }


def _placed(service: str) -> Placed:
    example, bus = needs_of(service).example, needs_of(service).bus
    return Placed(
        service=KitService(
            name=example.name,
            service=service,
            device=example.device,
            devices=example.devices,
            config=example.config,
            page_port=example.page_port,
        ),
        image=f"{REGISTRY}/{service}:1.0",
        node="edge-01",
        device=example.device,
        devices=example.devices,
        config=example.config,
        user=_USER,
        group=_GROUPS[bus] if bus else _USER,
        link=_LINK,
        owner=service.replace("_", "-"),
    )


def _application(placed: Placed, generation: str) -> dict[str, Any]:
    return {
        "apiVersion": GENERATIONS[generation].api_versions[0],
        "kind": "Application",
        "metadata": {"name": placed.service.service.replace("_", "-")},
        "spec": nats_access(generation) | {"microservices": [microservice(placed, generation)]},
    }


def _catalog_item(service: str, generation: str) -> dict[str, Any]:
    image = f"{REGISTRY}/{service}:1.0"
    return {
        "apiVersion": GENERATIONS[generation].api_versions[0],
        "kind": "CatalogItem",
        "metadata": {"name": service.replace("_", "-")},
        "spec": {"description": f"ioFog device service {service}", "x86": image, "arm": image, "registry": "remote"},
    }


_COMPOSE_HEAD = """\
# The images without ioFog, to try them on a device of this machine; readings are printed. For example:
#   make build SERVICE=gps_receiver
#   DEVICE=/dev/ttyUSB0 GROUP_ID=$(stat -c %g /dev/ttyUSB0) docker compose -f deploy/compose.yaml up gps_receiver
# IOFOG_LINK=agent://HOST:54321 SELFNAME=UUID sends them to an agent instead. Written by `make docs`.
#
# A whole site: a gateway, a broker, a page at http://localhost:8000 (DASHBOARD_TOKEN=… to switch its outputs):
#   make build SERVICE="edge_gateway" && make build SERVICE="live_dashboard"
#   docker compose -f deploy/compose.yaml --profile site up
"""


def _compose(services: list[str]) -> dict[str, Any]:
    return {
        "name": "iofog-devices",
        "services": {service: _compose_service(_placed(service)) for service in services} | _site(services),
        "volumes": {f"{service}-state": {} for service in services},
    }


def _site(services: list[str]) -> dict[str, Any]:
    """A gateway and a page that hears it by a broker of their own."""
    if not {"edge_gateway", "live_dashboard"} <= set(services):
        return {}
    gateway, page = (_compose_service(_placed(service)) for service in ("edge_gateway", "live_dashboard"))
    topics = ",".join(f"iofog/{{application}}/+/{kind}" for kind in ("readings", "results"))
    names = {"IOFOG_APPLICATION": _SITE}
    common = {"profiles": ["site"], "restart": "unless-stopped", "depends_on": ["site-broker"]}
    return {
        "site-broker": {
            "image": "docker.io/library/eclipse-mosquitto:2",
            "command": ["mosquitto", "-c", "/mosquitto-no-auth.conf"],  # the services' own network alone reaches it
            "profiles": ["site"],
            "restart": "unless-stopped",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "user": "1883:1883",
        },
        "site-gateway": gateway
        | common
        | {
            "user": f"{_USER}:{_USER}",
            "group_add": [f"${{{bus.upper()}_GROUP:-{group}}}" for bus, group in _GROUPS.items()],
            "environment": _without_node(gateway["environment"])
            | names
            | {"IOFOG_MICROSERVICE": "gateway", "IOFOG_LINK": _BROKER, "SETTING_ANNOUNCE": "30"},
        },
        "site-page": page
        | common
        | {
            "ports": [f"${{PAGE:-127.0.0.1:{PAGE_PORT}}}:{PAGE_PORT}"],
            "environment": _without_node(page["environment"])
            | names
            | {
                "IOFOG_MICROSERVICE": "page",
                "IOFOG_LINK": _BROKER,
                "IOFOG_RECEIVE": topics,
                "DASHBOARD_TOKEN": "${DASHBOARD_TOKEN:-}",
            },
        },
    }


def _without_node(environment: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in environment.items() if key != "SELFNAME"}


def _compose_service(placed: Placed) -> dict[str, Any]:
    service, inside = placed.service.service, placed.inside("compose")
    settings = dict(variables(placed.settings("compose")))
    return {
        "image": f"${{REGISTRY:-localhost/iofog}}/{service}:${{TAG:-dev}}",
        "build": {"context": "..", "dockerfile": "deploy/images/Dockerfile", "args": {"SERVICE": service}},
        "profiles": [service],
        "user": f"{_USER}:${{GROUP_ID:-{placed.group}}}",
        **({"devices": [f"${{DEVICE:-{placed.device}}}:{inside}"]} if placed.bus else {}),
        **({"devices": [f"{device}:{device}" for device in placed.devices]} if placed.devices else {}),
        **(
            {"ports": [f"{outside}:{internal}" for _, internal, outside in placed.published]}
            if placed.published
            else {}
        ),
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "tmpfs": [f"/tmp:size={TMP_MIB}m"],  # noqa: S108 - the container's own
        "mem_limit": f"{MEMORY_MIB}m",
        "volumes": [
            *([f"{folder}:{folder}:ro"] if (folder := needs_of(service).folder) else []),
            f"{service}-state:{STATE}",
        ],
        "environment": {
            "IOFOG_LINK": "${IOFOG_LINK:-console:}",
            "SELFNAME": "${SELFNAME:-}",
            **{key: value.replace("$", "$$") for key, value in settings.items()},
        },
    }
