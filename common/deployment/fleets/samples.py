"""The manifests that stand in `deploy/`: each service alone on one node, of each generation, and by Docker Compose.

They come from each service's `deploy.toml`, by the same code as those of a fleet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..generations import GENERATIONS
from .microservice import (
    MEMORY_MIB,
    STATE,
    TMP_MIB,
    Placed,
    edgelet_microservice,
    microservice,
    nats_access,
    needs,
    variables,
)
from .model import Bus, KitService
from .rendering import cdi_files, text

FOLDERS = {
    "3.0": "iofog-3.0",
    "3.6": "iofog-3.6",
    "3.7": "iofog-3.7",
    "3.8": "iofog-3.8",
    "edgelet": "edgelet",
}
REGISTRY = "registry.example.com/iofog"
_GROUPS: dict[Bus, str] = {"serial": "20", "i2c": "998", "gpio": "997"}
_USER = "10001"
_NO_DEVICE = {
    "3.0": "The agent of 3.0 runs every container privileged, whatever stands here; the user is that of the image.",
    "3.6": "It needs no device. Not privileged.",
    "3.7": "It needs no device. Not privileged.",
    "3.8": "It needs no device and is given none.",
    "edgelet": "It needs no device and is given none; Edgelet alone applies no config, so settings are variables.",
}
_WAY = {
    "3.0": "The agent of 3.0 runs every container privileged, whatever stands here; the user is that of the image.",
    "3.6": "Its device comes by CDI: cdi/{service}.yaml belongs into /etc/cdi of the node. Not privileged.",
    "3.7": "Its device comes by CDI: cdi/{service}.yaml belongs into /etc/cdi of the node. Not privileged.",
    "3.8": "Its device and nothing else; set runAsGroup to the group that owns it on the node.",
    "edgelet": "Its device and nothing else; Edgelet alone applies no config, so settings are variables.",
}
_WRITTEN = "# Written by `make docs` from services/{service}/deploy.toml.\n"


def samples(services: list[str]) -> Iterator[tuple[str, str]]:
    """Files below `deploy/`: name and text."""
    for service in services:
        placed = _placed(service)
        for generation, folder in FOLDERS.items():
            way = _WAY if placed.bus else _NO_DEVICE
            head = f"# {service} on one node. {way[generation].format(service=service)}\n"
            manifest = edgelet_microservice(placed) if generation == "edgelet" else _application(placed, generation)
            yield f"{folder}/{service}.yaml", head + _WRITTEN.format(service=service) + text([manifest])
        for _, file in cdi_files([placed]):
            head = (
                f"# /etc/cdi/iofog-{service}.yaml of a node. hostPath has to be a device node, not a link to one.\n"
            )
            for generation, folder in FOLDERS.items():
                if GENERATIONS[generation].has_cdi_only:
                    yield f"{folder}/cdi/{service}.yaml", head + _WRITTEN.format(service=service) + text([file])
    for generation, folder in FOLDERS.items():
        if GENERATIONS[generation].is_java:
            head = "# The services in the Controller's catalogue; then `images: {catalogId: …}` in a microservice.\n"
            yield f"{folder}/catalog.yaml", head + text(_catalog_item(one, generation) for one in services)
    yield "compose.yaml", _COMPOSE_HEAD + text([_compose(services)]).removeprefix("---\n")


def _placed(service: str) -> Placed:
    example = needs(service).example
    one = KitService(
        name=example.name,
        service=service,
        device=example.device,
        config=example.config,
        page_port=example.page_port,
    )
    bus = needs(service).bus
    group = _GROUPS[bus] if bus else _USER
    return Placed(one, f"{REGISTRY}/{service}:1.0", "edge-01", example.device, example.config, _USER, group)


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
"""


def _compose(services: list[str]) -> dict[str, Any]:
    return {
        "name": "iofog-devices",
        "services": {service: _compose_service(_placed(service)) for service in services},
        "volumes": {f"{service}-state": {} for service in services},
    }


def _compose_service(placed: Placed) -> dict[str, Any]:
    service, inside = placed.service.service, placed.inside("compose")
    settings = dict(variables(placed.settings("compose")))
    return {
        "image": f"${{REGISTRY:-localhost/iofog}}/{service}:${{TAG:-dev}}",
        "build": {"context": "..", "dockerfile": "deploy/images/Dockerfile", "args": {"SERVICE": service}},
        "profiles": [service],
        "user": f"{_USER}:${{GROUP_ID:-{placed.group}}}",
        **({"devices": [f"${{DEVICE:-{placed.device}}}:{inside}"]} if placed.bus else {}),
        **(
            {"ports": [f"{external}:{internal}" for _, internal, external in placed.published]}
            if placed.published
            else {}
        ),
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "tmpfs": [f"/tmp:size={TMP_MIB}m"],  # noqa: S108 - the container's own
        "mem_limit": f"{MEMORY_MIB}m",
        "volumes": [f"{service}-state:{STATE}"],
        "environment": {
            "IOFOG_LINK": "${IOFOG_LINK:-console:}",
            "SELFNAME": "${SELFNAME:-}",
            **{key: value.replace("$", "$$") for key, value in settings.items()},
        },
    }
