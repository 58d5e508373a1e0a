"""What can be wrong with a microservice around its container: name, node, images, settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...documents import Where
from ...generations.facts import GENERATIONS, MAYBE, NATS_CONFIG, Generation, Problem
from .container import check_container
from .devices import check_devices
from .fields import check_members, unknown
from .liquid import check_quotes, placeholder

NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
NAME_REMEDY = "Lower-case letters, digits and hyphens, beginning with a letter, 63 at most."
_AGENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SEEDED = (1, 2)
_SCHEDULE_MAX = 100


def check_microservice(
    service: dict[str, Any],
    where: Where,
    generation: Generation,
    *,
    stand_alone: bool = False,
    in_template: bool = False,
) -> Iterator[Problem]:
    """One microservice, in an application or by itself."""
    known = {key: kind for key, kind in generation.service.items() if not (stand_alone and key == "name")}
    yield from check_members(service, known, where, "a microservice", in_template=in_template)
    if not stand_alone and not NAME.fullmatch(str(service.get("name", ""))):
        yield (*where, "name"), f"name {service.get('name')!r} is refused", NAME_REMEDY
    schedule = service.get("schedule")
    if isinstance(schedule, int) and not 0 <= schedule <= _SCHEDULE_MAX:
        yield (*where, "schedule"), f"schedule = {schedule}", f"Write 0 to {_SCHEDULE_MAX}."
    yield from check_nats(service.get("natsConfig"), (*where, "natsConfig"))
    if generation.is_edgelet:
        yield from _check_edgelet(service, where)
    else:
        yield from _check_agent(service.get("agent"), where)
        if "template" not in service or "template" not in generation.service:
            yield from _check_images(service.get("images"), where, generation)
    config = service.get("config", {})
    yield from check_quotes(config, (*where, "config"))
    container = service.get("container", {})
    if isinstance(container, dict):
        here = (*where, "container")
        yield from _unknown_container(container, here, generation)
        yield from check_container(container, here, generation, in_template=in_template)
        yield from check_devices(container, here, generation, config)


def check_nats(config: Any, where: Where) -> Iterator[Problem]:
    """What an application or a microservice may do on NATS."""
    if isinstance(config, dict):
        yield from check_members(config, NATS_CONFIG, where, "natsConfig", in_template=False)


def _check_edgelet(service: dict[str, Any], where: Where) -> Iterator[Problem]:
    if not service.get("image"):
        yield (*where, "image"), "no image", "Write one reference of a multi-arch image."
    if "registry" not in service:
        yield where, "no registry", "Write its number: edgelet registry ls."
    if "config" in service:
        remedy = "Configure by env (SETTING_…) or a mounted file."
        yield (*where, "config"), "Edgelet alone parses config and does not apply it", remedy


def _check_agent(agent: Any, where: Where) -> Iterator[Problem]:
    name = agent.get("name") if isinstance(agent, dict) else None
    if not isinstance(name, str) or not (placeholder(name) or "{" in name or _AGENT.fullmatch(name)):
        found = "no agent" if name is None else f"agent {name!r} is no name"
        yield (*where, "agent"), found, "Write agent: {name: …}, the node it runs on."
    if isinstance(agent, dict):
        yield from unknown(agent, ("name", "config"), (*where, "agent"), "an agent")
        if "config" in agent:
            rule = f"{MAYBE}agent.config is ignored since 3.0"
            yield (*where, "agent", "config"), rule, "Configure the node itself."


def _check_images(images: Any, where: Where, generation: Generation) -> Iterator[Problem]:
    here = (*where, "images")
    if not isinstance(images, dict) or not (set(images) - {"registry"}):
        remedy = f"Write {', '.join(generation.images)} with a reference each (or catalogId)."
        yield (here if images else where), "no images", remedy
        return
    yield from _check_registry(images.get("registry", "remote"), (*here, "registry"))
    if "catalogId" in images:
        if not isinstance(images["catalogId"], int) and not placeholder(images["catalogId"]):
            yield (*here, "catalogId"), f"catalogId {images['catalogId']!r} is no integer", "Write the item's id."
        return
    for key, image in images.items():
        if key == "registry":
            continue
        if key not in generation.images:
            remedy = f"Write {', '.join(generation.images)}."
            yield (*here, key), f"image key {key!r} is ignored by {generation.name}", remedy
        is_reference = isinstance(image, str) and image and not set(image) & set(" \t\n")
        if not is_reference and not placeholder(image):
            yield (*here, key), f"image {image!r} is no reference", "Write it like registry.example.com/gps:1.0."
    yield from _check_architectures(set(images), here, generation)


def _check_registry(registry: Any, where: Where) -> Iterator[Problem]:
    number = registry if isinstance(registry, int) else int(registry) if str(registry).isdecimal() else None
    if isinstance(registry, bool) or (number is None and registry not in ("remote", "local")):
        if not placeholder(registry):
            rule = f"images.registry {registry!r}, which the Controller answers with status 500"
            yield where, rule, "Write remote, local, or the id of a registry: iofogctl get registries."
    elif number is not None and number not in _SEEDED:
        rule = f"{MAYBE}registry {number}: status 500 if the Controller has none of this id"
        yield where, rule, "Look it up: iofogctl get registries."


def _check_architectures(images: set[str], where: Where, generation: Generation) -> Iterator[Problem]:
    same = "the same reference, unless no such node will have it."
    if generation.is_java:
        for architecture in generation.images:
            if architecture not in images:
                rule, remedy = f"{MAYBE}no image for {architecture}", f"Write x86 and arm (32 and 64 bits), {same}"
                yield where, rule, remedy
        return
    if {"x86", "amd64"} <= images:
        yield where, "x86 and amd64 are the same architecture, which is refused", "Keep one of the two."
    if "arm" in images and "arm64" not in images:
        yield where, "no image for arm64", "Write arm64 as well: since 3.8 arm is 32 bits only."
    there = images | ({"amd64"} if "x86" in images else set())
    for architecture in ("amd64", "arm64", "arm"):
        if architecture not in there and not (architecture == "arm64" and "arm" in images):
            yield where, f"{MAYBE}no image for {architecture}", f"Write {architecture}, {same}"


def _unknown_container(container: dict[str, Any], where: Where, generation: Generation) -> Iterator[Problem]:
    for key in container:
        if key in generation.container:
            continue
        others = [other.name for other in GENERATIONS.values() if key in other.container]
        if others:
            rule = f"{generation.name} drops container.{key} without a word; it exists in {', '.join(others)}"
            yield (*where, key), rule, "Leave it out, or deploy for a generation that has it."
        else:
            yield from unknown({key: None}, tuple(generation.container), where, "a container")
