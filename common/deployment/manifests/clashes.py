"""What is used twice, or leads nowhere, in manifests that are deployed together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from workspace.services import STATE, bus_of_path

from ..documents import Document, Where
from .problems import Problem
from .rules import Microservice

_NAMED = ("Application", "ApplicationTemplate", "Route", "CatalogItem")


def check_clashes(
    documents: Sequence[Document], microservices: Sequence[Microservice]
) -> Iterator[tuple[Document, Problem]]:
    """Names, ports, devices and volumes that are taken, and routes to microservices that are not there."""
    yield from _names(documents)
    yield from _microservices(microservices)
    taken: dict[tuple[str, str], str] = {}
    for one in microservices:
        for thing, where, remedy in _exclusive(one):
            if first := taken.get((one.node, thing)):
                yield one.document, Problem(where, f"{thing} of node {one.node} is taken by {first}", remedy)
            taken.setdefault((one.node, thing), one.name)
    yield from _routes(documents, microservices)


def kind_of(document: Document) -> str:
    """The kind of a document; "" for one that does not say."""
    return str(document.content.get("kind", "")) if isinstance(document.content, dict) else ""


def name_of(document: Document) -> str:
    """The name of a document; "" for one that does not say."""
    metadata = document.content.get("metadata") if isinstance(document.content, dict) else None
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def spec_of(document: Document) -> dict[str, Any]:
    """What a document describes; nothing for one that does not say."""
    spec = document.content.get("spec") if isinstance(document.content, dict) else None
    return spec if isinstance(spec, dict) else {}


def _names(documents: Sequence[Document]) -> Iterator[tuple[Document, Problem]]:
    names: dict[tuple[str, str], Document] = {}
    for document in documents:
        kind, name = kind_of(document), name_of(document)
        if not name or kind not in _NAMED:
            continue
        first = names.setdefault((kind, name), document)
        if first is not document:
            rule = f"{kind} {name!r} is in {first.file}:{first.line(())} already, which this one would replace"
            yield document, Problem(("metadata", "name"), rule, "Choose another name.")


def _microservices(microservices: Sequence[Microservice]) -> Iterator[tuple[Document, Problem]]:
    first_by_name: dict[tuple[str, str], Microservice] = {}
    for one in microservices:
        scope = one.document.file if "/" not in one.name else ""
        first = first_by_name.setdefault((scope, one.name), one)
        if first is one:
            continue
        if first.document is one.document:
            rule = f"microservice {one.name!r} is used twice, which the Controller answers with status 500"
            yield one.document, Problem(one.at("name"), rule, "Choose another name.")
        elif not kind_of(one.document) == kind_of(first.document) == "Application":  # else it is said of these
            rule = f"microservice {one.name!r} is in {first.document.file}:{first.document.line(first.where)} already"
            yield one.document, Problem(("metadata", "name"), rule, "Choose another name.")


def _exclusive(one: Microservice) -> Iterator[tuple[str, Where, str]]:
    """Things of its node that a microservice needs for itself."""
    if not one.node:
        return
    for at, port in enumerate(one.mappings("ports")):
        if isinstance(external := port.get("external"), int):
            yield f"port {external}", one.at("container", "ports", at), "Choose another external port."
    another = "A serial device can be opened by one service only: name another."
    given = [str(device.get("hostPath")) for device in one.mappings("devices")]
    for device in given or sorted(one.devices_named()) * one.is_privileged:
        if "serial" in (bus_of_path(device), one.bus):
            yield f"device {device}", one.at("container"), another
    for name in one.items("cdiDevices"):
        if "serial" in (str(name).partition("=")[0].rpartition("/")[2], one.bus):
            yield f"device {name}", one.at("container", "cdiDevices"), another
    for at, volume in enumerate(one.mappings("volumes")):
        if volume.get("scope") == "shared" and volume.get("containerDestination") == STATE:
            remedy = "Two services cannot share their state: choose another name."
            yield f"volume {volume.get('hostDestination')}", one.at("container", "volumes", at), remedy


def _routes(
    documents: Sequence[Document], microservices: Sequence[Microservice]
) -> Iterator[tuple[Document, Problem]]:
    known: dict[str, list[str]] = {}
    for one in microservices:
        application, _, name = one.name.rpartition("/")
        known.setdefault(application, []).append(name)
    for document in documents:
        application = name_of(document).partition("/")[0]
        if kind_of(document) != "Route" or application not in known:
            continue
        for end in ("from", "to"):
            if (target := spec_of(document).get(end)) is not None and target not in known[application]:
                rule = f"a route {end} {target!r}, which is not a microservice of {application} in these files"
                remedy = f"There are {', '.join(sorted(known[application]))}."
                yield document, Problem(("spec", end), rule, remedy, warning=True)
