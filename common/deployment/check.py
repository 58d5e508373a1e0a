"""Checks manifests more strictly than ioFog: what would be refused, dropped, corrupted, or could not work."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .container import MAYBE, Problem, check_config, check_container
from .documents import Document, Where, load
from .generations import GENERATIONS, UNCHECKED_KINDS, Generation
from .resources import check_catalog_item, check_registry, check_route
from .templates import check_template_use, check_variables

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


class Finding(NamedTuple):
    """Something that is wrong in a file.

    Parameters:
        file: which.
        line: where.
        rule: what is wrong.
        remedy: what to write instead.
    """

    file: str
    line: int
    rule: str
    remedy: str

    @property
    def must_be_mended(self) -> bool:
        """Whether it is wrong for sure."""
        return not self.rule.startswith(MAYBE)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}. {self.remedy}"


def check_file(file: Path, generation: str) -> list[Finding]:
    """Everything that is wrong in a file. Raises ManifestError for one that is none."""
    return check_documents(load(file), GENERATIONS[generation])


def check_documents(documents: list[Document], generation: Generation) -> list[Finding]:
    """Everything that is wrong in documents that are deployed together."""
    findings = []
    templates = {
        _name_of(document): document for document in documents if _kind_of(document) == "ApplicationTemplate"
    }
    ports: dict[tuple[str, int], str] = {}
    for document in documents:
        problems = list(_check(document, generation, templates))
        problems += _port_clashes(document, ports)
        findings += [Finding(document.file, document.line(where), rule, remedy) for where, rule, remedy in problems]
    return sorted(set(findings), key=lambda finding: (finding.file, finding.line, finding.rule))


def _kind_of(document: Document) -> str:
    return str(document.content.get("kind", "")) if isinstance(document.content, dict) else ""


def _name_of(document: Document) -> str:
    metadata = document.content.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _check(document: Document, generation: Generation, templates: Mapping[str, Document]) -> Iterator[Problem]:
    content = document.content
    if not isinstance(content, dict):
        yield (), "this document is no mapping", "Write apiVersion, kind, metadata and spec."
        return
    yield from _unknown(content, ("apiVersion", "kind", "metadata", "spec"), (), "a document")
    version = content.get("apiVersion")
    if version not in generation.api_versions:
        remedy = f"Write {' or '.join(generation.api_versions)}: the command line tool refuses any other."
        yield ("apiVersion",), f"apiVersion {version!r} is not that of {generation.name}", remedy
    kind = content.get("kind")
    if kind not in generation.kinds:
        rule = f"kind {kind!r} does not exist in {generation.name}"
        yield ("kind",), rule, f"There are {', '.join(generation.kinds)}."
        return
    if kind in UNCHECKED_KINDS:
        return
    spec = content.get("spec")
    if not isinstance(spec, dict):
        yield ("spec",), "spec is missing or no mapping", "Write what is to be deployed under spec."
        return
    if kind in ("Application", "ApplicationTemplate", "Microservice", "Route", "CatalogItem"):
        yield from _check_metadata(content.get("metadata"), kind, generation)
    if kind == "Application":
        yield from _check_application(spec, ("spec",), generation, templates=templates)
    elif kind == "ApplicationTemplate":
        yield from check_variables(spec)
        application = spec.get("application")
        if isinstance(application, dict):
            yield from _check_application(application, ("spec", "application"), generation, in_template=True)
        else:
            yield ("spec",), "a template without application", "Write the microservices under spec.application."
    elif kind == "Microservice":
        yield from _check_microservice(spec, ("spec",), generation, stand_alone=True)
    elif kind == "Registry":
        yield from check_registry(spec, generation)
    elif kind == "CatalogItem":
        yield from check_catalog_item(spec, generation)
    elif kind == "Route":
        yield from check_route(spec)


def _check_metadata(metadata: Any, kind: str, generation: Generation) -> Iterator[Problem]:
    if not isinstance(metadata, dict):
        yield ("metadata",), "metadata is missing", "Write metadata with a name."
        return
    yield from _unknown(metadata, ("name", "namespace", "tags"), ("metadata",), "metadata")
    parts = str(metadata.get("name", "")).split("/")
    needed = 2 if kind == "Route" or (kind == "Microservice" and generation.name != "edgelet") else 1
    if len(parts) != needed:
        yield (
            ("metadata", "name"),
            f"name {metadata.get('name')!r}",
            f"Write application/{kind.lower()}." if needed == 2 else "Write one name.",
        )
    for part in parts:
        if not _NAME.fullmatch(part):
            yield ("metadata", "name"), f"name {part!r} is refused", _NAME_REMEDY


_NAME_REMEDY = "Lower-case letters, digits and hyphens, beginning with a letter, 63 at most."


def _check_application(
    spec: dict[str, Any],
    where: Where,
    generation: Generation,
    *,
    in_template: bool = False,
    templates: Mapping[str, Document] | None = None,
) -> Iterator[Problem]:
    if "routes" in spec and not generation.has_routes:
        remedy = "Messages go by NATS here: write natsConfig, and leave routes out."
        yield (*where, "routes"), f"{generation.name} drops routes without a word", remedy
    known = (*generation.application, "routes")
    yield from _unknown(spec, known, where, "an application")
    if spec.get("isActivated") is False:
        yield (
            (*where, "isActivated"),
            "the Controller stores true for false",
            "Stop the application after it is there.",
        )
    if "template" in spec:
        yield from check_template_use(spec["template"], (*where, "template"), templates or {})
        return
    services = spec.get("microservices")
    if not isinstance(services, list) or not services:
        yield (*where, "microservices"), "no microservices", "List one at least."
        return
    names: list[str] = []
    for at, service in enumerate(services):
        here = (*where, "microservices", at)
        if not isinstance(service, dict):
            yield here, "this microservice is no mapping", "Write name, agent, images, container."
            continue
        yield from _check_microservice(service, here, generation, in_template=in_template)
        name = str(service.get("name", ""))
        if name in names:
            rule = f"microservice {name!r} stands twice, which the Controller answers with status 500"
            yield (*here, "name"), rule, "Name it otherwise."
        names.append(name)
        if service.get("natsConfig", {}).get("natsAccess") and not spec.get("natsConfig", {}).get("natsAccess"):
            rule = f"microservice {name!r} has natsAccess, its application has not"
            yield (*here, "natsConfig"), rule, "Write natsConfig: {natsAccess: true} for the application, too."
    if generation.has_routes:
        yield from _check_routes(spec.get("routes", []), (*where, "routes"), names)


def _check_routes(routes: Any, where: Where, names: list[str]) -> Iterator[Problem]:
    for at, route in enumerate(routes if isinstance(routes, list) else []):
        for end in ("from", "to"):
            if not isinstance(route, dict) or route.get(end) not in names:
                wanted = route.get(end) if isinstance(route, dict) else None
                yield (
                    (*where, at),
                    f"a route {end} {wanted!r}, which is no microservice here",
                    (f"There are {', '.join(names)}."),
                )


def _check_microservice(
    service: dict[str, Any],
    where: Where,
    generation: Generation,
    *,
    stand_alone: bool = False,
    in_template: bool = False,
) -> Iterator[Problem]:
    yield from _unknown(service, tuple(generation.service), where, "a microservice")
    if not stand_alone and not _NAME.fullmatch(str(service.get("name", ""))):
        yield (*where, "name"), f"name {service.get('name')!r} is refused", _NAME_REMEDY
    if generation.name == "edgelet":
        if not isinstance(service.get("image"), str):
            yield (*where, "image"), "no image", "Write one reference of a multi-arch image."
        if "config" in service:
            remedy = "Configure by env (SETTING_…) or a mounted file."
            yield (*where, "config"), "Edgelet alone parses config and does not apply it", remedy
    else:
        agent = service.get("agent")
        if not isinstance(agent, dict) or not isinstance(agent.get("name"), str):
            yield (*where, "agent"), "no agent", "Write agent: {name: …}, the node it runs on."
        yield from _check_images(service.get("images"), where, generation)
    config = service.get("config", {})
    yield from check_config(config, (*where, "config"), in_template=in_template)
    container = service.get("container", {})
    if isinstance(container, dict):
        yield from _unknown_container(container, (*where, "container"), generation)
        yield from check_container(container, (*where, "container"), generation, config, in_template=in_template)
    else:
        yield (*where, "container"), "container is no mapping", "Write its fields under container."


def _check_images(images: Any, where: Where, generation: Generation) -> Iterator[Problem]:
    here = (*where, "images")
    if not isinstance(images, dict) or not (set(images) - {"registry"}):
        remedy = f"Write {', '.join(generation.images)} with a reference each (or catalogId)."
        yield (here if images else where), "no images", remedy
        return
    if "catalogId" in images:
        return
    for key in images:
        if key not in (*generation.images, "registry"):
            remedy = f"Write {', '.join(generation.images)}."
            yield (*here, key), f"image key {key!r} is ignored by {generation.name}", remedy
    if generation.name == "3.8" and {"x86", "amd64"} <= set(images):
        yield here, "x86 and amd64 are the same architecture, which is refused", "Keep one of the two."
    if generation.name == "3.8" and "arm" in images and "arm64" not in images:
        remedy = "Write arm64 as well: since 3.8 arm is 32 bits only."
        yield here, "no image for arm64", remedy
    if generation.images == ("x86", "arm"):
        for architecture in ("x86", "arm"):
            if architecture not in images:
                remedy = "Write x86 and arm (32 and 64 bits), the same reference, unless no such node will have it."
                yield here, f"{MAYBE}no image for {architecture}", remedy


def _unknown_container(container: dict[str, Any], where: Where, generation: Generation) -> Iterator[Problem]:
    for key in container:
        if key in generation.container:
            continue
        others = [other.name for other in GENERATIONS.values() if key in other.container]
        if others:
            rule = f"{generation.name} drops container.{key} without a word; it exists in {', '.join(others)}"
            yield (*where, key), rule, "Leave it out, or deploy for a generation that has it."
        else:
            yield from _unknown({key: None}, tuple(generation.container), where, "a container")


def _unknown(members: Mapping[str, Any], known: tuple[str, ...], where: Where, what: str) -> Iterator[Problem]:
    for key in members:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {close[0]}? " if close else ""
            yield (
                (*where, key),
                f"{what} has no {key!r}; it would be dropped without a word",
                (f"{hint}There are {', '.join(known)}."),
            )


def _port_clashes(document: Document, ports: dict[tuple[str, int], str]) -> Iterator[Problem]:
    content = document.content
    spec = content.get("spec") if isinstance(content, dict) else None
    services = spec.get("microservices") if isinstance(spec, dict) else None
    for at, service in enumerate(services if isinstance(services, list) else []):
        agent = service.get("agent", {}) if isinstance(service, dict) else {}
        node = agent.get("name") if isinstance(agent, dict) else None
        container = service.get("container", {}) if isinstance(service, dict) else {}
        listed = container.get("ports") if isinstance(container, dict) else None
        for n, port in enumerate(listed if isinstance(listed, list) else []):
            external = port.get("external") if isinstance(port, dict) else None
            if not isinstance(node, str) or not isinstance(external, int):
                continue
            taken = ports.setdefault((node, external), str(service.get("name")))
            if taken != str(service.get("name")):
                where = ("spec", "microservices", at, "container", "ports", n)
                yield where, f"port {external} of node {node} is taken by {taken}", "Choose another external port."
