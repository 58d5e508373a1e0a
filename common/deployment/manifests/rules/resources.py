"""What stands beside applications: registries, catalogue items, routes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...documents import Where
from ...generations.facts import INTEGER, TEXT, TRUTH, Generation, Problem

_REGISTRY = {"url": TEXT, "private": TRUTH, "username": TEXT, "password": TEXT, "email": TEXT, "id": INTEGER}
_EDGELET_REGISTRY = {**_REGISTRY, "type": TEXT, "ca": TEXT, "insecure": TRUTH}
_TYPES = {TEXT: str, INTEGER: int, TRUTH: bool}
_SEEDED = 4
"""Registries of Edgelet with lower numbers are its own."""


def check_registry(spec: dict[str, Any], generation: Generation) -> Iterator[Problem]:
    """Access to an image registry."""
    alone = generation.name == "edgelet"
    known = _EDGELET_REGISTRY if alone else _REGISTRY
    yield from _members(spec, known, "a registry")
    needed = ["url", *(["username", "password"] if spec.get("private") else [])]
    if not alone:
        needed.append("email")
    for key in needed:
        if key not in spec:
            why = ", which the Controller wants even for a public one" if key == "email" else ""
            yield ("spec",), f"a registry without {key}{why}", f"Write {key}."
    number = spec.get("id")
    if alone and (not isinstance(number, int) or number < _SEEDED):
        rule = f"registry id {number!r}: Edgelet keeps those below {_SEEDED} for itself"
        yield ("spec", *(("id",) if "id" in spec else ())), rule, "Write an id from 4, which microservices then name."
    if re.match(r"https?://", str(spec.get("url", ""))):
        yield ("spec", "url"), f"registry url {spec['url']!r} has a scheme", "Write the host alone."


def check_catalog_item(spec: dict[str, Any], generation: Generation) -> Iterator[Problem]:
    """An image in the Controller's catalogue."""
    known = {"id": INTEGER, "description": TEXT, "category": TEXT, "publisher": TEXT, "configExample": TEXT}
    yield from _members(spec, known | dict.fromkeys((*generation.images, "registry"), TEXT), "a catalogue item")
    if not set(generation.images) & set(spec):
        yield ("spec",), "a catalogue item without images", f"Write {', '.join(generation.images)}."
    if spec.get("registry") not in (None, "remote", "local"):
        rule = f"registry {spec['registry']!r}: the command line tool takes remote and local only"
        yield ("spec", "registry"), rule, "Write remote or local."


def check_route(spec: dict[str, Any], where: Where = ("spec",)) -> Iterator[Problem]:
    """A route on its own; its microservices stand elsewhere."""
    yield from _members(spec, {"from": TEXT, "to": TEXT}, "a route")
    for end in ("from", "to"):
        if end not in spec:
            yield where, f"a route without {end}", f"Write {end}: the name of a microservice of the application."


def _members(spec: dict[str, Any], known: dict[str, str], what: str) -> Iterator[Problem]:
    for key, value in spec.items():
        if key not in known:
            yield ("spec", key), f"{what} has no {key!r}, which the tool refuses", f"There are {', '.join(known)}."
        elif not isinstance(value, _TYPES[known[key]]) or (known[key] == INTEGER and isinstance(value, bool)):
            yield ("spec", key), f"{key} = {value!r} is no {known[key]}", f"Write {known[key]}."
