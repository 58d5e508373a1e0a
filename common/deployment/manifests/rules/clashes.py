"""What is used twice, or leads nowhere, in manifests that are deployed together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...documents import Document, Where
from ...generations.facts import MAYBE, Generation, Problem
from .container import mappings
from .templates import made_from


class _Placed(NamedTuple):
    """A microservice on its node, wherever it is written."""

    document: Document
    where: Where
    name: str
    node: str
    ports: list[tuple[Where, int]]


def check_clashes(
    documents: Sequence[Document], generation: Generation, templates: Mapping[str, Document]
) -> Iterator[tuple[Document, Problem]]:
    """Names and ports that are taken, and routes to microservices that are not there."""
    placed = [one for document in documents for one in _placed(document, generation, templates)]
    yield from _names(documents, placed)
    taken: dict[tuple[str, int], str] = {}
    for one in placed:
        for where, external in one.ports:
            if (first := taken.get((one.node, external))) is not None:
                rule = f"port {external} of node {one.node} is taken by {first}"
                yield one.document, (where, rule, "Choose another external port.")
            taken.setdefault((one.node, external), one.name)
    yield from _routes(documents, placed)


def _names(documents: Sequence[Document], placed: list[_Placed]) -> Iterator[tuple[Document, Problem]]:
    names: dict[tuple[str, str], Document] = {}
    for document in documents:
        kind, name = kind_of(document), name_of(document)
        if not name or kind not in ("Application", "ApplicationTemplate", "Route", "CatalogItem"):
            continue
        first = names.setdefault((kind, name), document)
        if first is not document:
            rule = f"{kind} {name!r} stands in {first.file}:{first.line(())} already, which this one would replace"
            yield document, (("metadata", "name"), rule, "Name it otherwise.")
    services: dict[tuple[str, str], _Placed] = {}
    for one in placed:
        scope = one.document.file if "/" not in one.name else ""
        other = services.setdefault((scope, one.name), one)
        if other is not one and other.document is not one.document and not _same_application(other, one):
            where = other.document.line(other.where)
            rule = f"microservice {one.name!r} stands in {other.document.file}:{where} already"
            yield one.document, (("metadata", "name"), rule, "Name it otherwise.")


def _same_application(one: _Placed, other: _Placed) -> bool:
    """Whether the applications have one name, which is told already."""
    return kind_of(one.document) == kind_of(other.document) == "Application"


def _routes(documents: Sequence[Document], placed: list[_Placed]) -> Iterator[tuple[Document, Problem]]:
    known: dict[str, set[str]] = {}
    for one in placed:
        application, _, name = one.name.rpartition("/")
        known.setdefault(application, set()).add(name)
    for document in documents:
        application = name_of(document).partition("/")[0]
        spec = document.content.get("spec") if isinstance(document.content, dict) else None
        if kind_of(document) != "Route" or application not in known or not isinstance(spec, dict):
            continue
        for end in ("from", "to"):
            if spec.get(end) is not None and spec[end] not in known[application]:
                rule = f"{MAYBE}a route {end} {spec[end]!r}, which is no microservice of {application} in these files"
                yield document, (("spec", end), rule, f"There are {', '.join(sorted(known[application]))}.")


def _placed(document: Document, generation: Generation, templates: Mapping[str, Document]) -> Iterator[_Placed]:
    spec = document.content.get("spec") if isinstance(document.content, dict) else None
    kind, name = kind_of(document), name_of(document)
    if not isinstance(spec, dict):
        return
    if kind == "Microservice":
        yield _one(document, spec, ("spec",), name, node=document.file if generation.is_edgelet else None)
    elif kind == "Application":
        made = made_from(spec["template"], templates) if "template" in spec else None
        services = (spec if made is None else made).get("microservices")
        for at, service in enumerate(services if isinstance(services, list) else []):
            if isinstance(service, dict):
                where: Where = ("spec", "template") if made is not None else ("spec", "microservices", at)
                full = f"{name}/{service.get('name')}"
                yield _one(document, service, where, full, inside=made is None)


def _one(
    document: Document,
    service: dict[str, Any],
    where: Where,
    name: str,
    *,
    node: str | None = None,
    inside: bool = True,
) -> _Placed:
    agent, container = service.get("agent"), service.get("container")
    if node is None:
        node = str(agent.get("name", "")) if isinstance(agent, dict) else ""
    ports: list[tuple[Where, int]] = []
    for at, port in enumerate(mappings(container, "ports") if isinstance(container, dict) else []):
        external = port.get("external")
        if node and isinstance(external, int):
            ports.append(((*where, "container", "ports", at) if inside else (*where, at), external))
    return _Placed(document, where, name, node, ports)


def kind_of(document: Document) -> str:
    """What a document is of; "" for one that does not say."""
    return str(document.content.get("kind", "")) if isinstance(document.content, dict) else ""


def name_of(document: Document) -> str:
    """What a document is called; "" for one that does not say."""
    metadata = document.content.get("metadata") if isinstance(document.content, dict) else None
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""
