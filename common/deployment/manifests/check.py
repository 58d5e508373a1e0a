"""Checks manifests more strictly than ioFog: what would be refused, dropped, corrupted, or could not work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..documents import Document, Where, load
from ..generations.facts import GENERATIONS, LIST, MAYBE, UNCHECKED_KINDS, Generation, Problem
from .rules.cdi import check_cdi, is_cdi
from .rules.clashes import check_clashes, kind_of, name_of
from .rules.fields import check_members, unknown
from .rules.liquid import check_rendered
from .rules.microservice import NAME, NAME_REMEDY, check_microservice, check_nats
from .rules.resources import check_catalog_item, check_registry, check_route
from .rules.templates import check_template_use, check_variables, declared, made_from, numbers_in_env, values_of


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
    def must_be_fixed(self) -> bool:
        """Whether it is wrong for sure."""
        return not self.rule.startswith(MAYBE)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}. {self.remedy}"


def check_file(file: Path, generation: str) -> list[Finding]:
    """Everything that is wrong in a file. Raises ManifestError for one that is none."""
    return check_documents(load(file), GENERATIONS[generation])


def check_documents(documents: list[Document], generation: Generation) -> list[Finding]:
    """Everything that is wrong in documents that are deployed together."""
    templates = {name_of(document): document for document in documents if kind_of(document) == "ApplicationTemplate"}
    told = {name: {rule for _, rule, _ in _check(one, generation, templates)} for name, one in templates.items()}
    problems = [(document, each) for document in documents for each in _check(document, generation, templates)]
    for document in documents:
        problems += [(document, each) for each in _check_made(document, generation, templates, told)]
    problems += check_clashes(documents, generation, templates)
    findings = {Finding(one.file, one.line(where), rule, remedy) for one, (where, rule, remedy) in problems}
    return sorted(findings, key=lambda finding: (finding.file, finding.line, finding.rule))


def _check(document: Document, generation: Generation, templates: Mapping[str, Document]) -> Iterator[Problem]:
    content = document.content
    if not isinstance(content, dict):
        yield (), "this document is no mapping", "Write apiVersion, kind, metadata and spec."
        return
    if is_cdi(content):
        yield from check_cdi(content, generation)
        return
    yield from unknown(content, ("apiVersion", "kind", "metadata", "spec"), (), "a document")
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
    yield from _check_spec(kind, spec, generation, templates)


def _check_spec(
    kind: str, spec: dict[str, Any], generation: Generation, templates: Mapping[str, Document]
) -> Iterator[Problem]:
    where: Where = ("spec",)
    if kind == "Application":
        yield from _check_application(spec, where, generation, templates=templates)
        yield from check_rendered(spec, where, generation)
    elif kind == "ApplicationTemplate":
        yield from check_variables(spec)
        application = spec.get("application")
        if isinstance(application, dict):
            where = ("spec", "application")
            yield from _check_application(application, where, generation, in_template=True)
            yield from check_rendered(application, where, generation, declared(spec))
        else:
            yield where, "a template without application", "Write the microservices under spec.application."
    elif kind == "Microservice":
        yield from check_microservice(spec, where, generation, stand_alone=True)
        if not generation.is_edgelet:
            yield from check_rendered(spec, where, generation)
    elif kind == "Registry":
        yield from check_registry(spec, generation)
    elif kind == "CatalogItem":
        yield from check_catalog_item(spec, generation)
    elif kind == "Route":
        yield from check_route(spec)


def _check_made(
    document: Document, generation: Generation, templates: Mapping[str, Document], told: Mapping[str, set[str]]
) -> Iterator[Problem]:
    """What becomes of a template with an application's own variables, beyond what is wrong with it anyway."""
    spec = document.content.get("spec") if isinstance(document.content, dict) else None
    if kind_of(document) != "Application" or not isinstance(spec, dict) or "template" not in spec:
        return
    made = made_from(spec["template"], templates)
    if made is None:
        return
    template = templates[spec["template"]["name"]].content["spec"]
    problems = [*_check_application(made, (), generation), *check_rendered(made, (), generation)]
    problems += numbers_in_env(template["application"], (), values_of(template, spec["template"]))
    for _, rule, remedy in problems:
        if rule not in told[spec["template"]["name"]] and not rule.startswith(MAYBE):
            yield ("spec", "template"), f"with these variables: {rule}", remedy


def _check_metadata(metadata: Any, kind: str, generation: Generation) -> Iterator[Problem]:
    if not isinstance(metadata, dict):
        yield ("metadata",), "metadata is missing", "Write metadata with a name."
        return
    yield from unknown(metadata, ("name", "namespace", "tags"), ("metadata",), "metadata")
    parts = str(metadata.get("name", "")).split("/")
    needed = 2 if kind == "Route" or (kind == "Microservice" and not generation.is_edgelet) else 1
    if len(parts) != needed:
        remedy = f"Write application/{kind.lower()}." if needed > 1 else "Write one name."
        yield ("metadata", "name"), f"name {metadata.get('name')!r}", remedy
    for part in parts:
        if not NAME.fullmatch(part):
            yield ("metadata", "name"), f"name {part!r} is refused", NAME_REMEDY


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
    yield from check_members(
        spec, {"routes": LIST} | generation.application, where, "an application", in_template=in_template
    )
    if spec.get("isActivated") is False:
        rule = "the Controller stores true for false"
        yield (*where, "isActivated"), rule, "Stop the application after it is there."
    yield from check_nats(spec.get("natsConfig"), (*where, "natsConfig"))
    if "template" in spec:
        if "microservices" in spec:
            yield (*where, "template"), "template and microservices in one application", "Keep one of the two."
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
        yield from check_microservice(service, here, generation, in_template=in_template)
        name = str(service.get("name", ""))
        if name in names:
            rule = f"microservice {name!r} is used twice, which the Controller answers with status 500"
            yield (*here, "name"), rule, "Name it otherwise."
        names.append(name)
        if _wants_nats(service) and not _wants_nats(spec):
            rule = f"microservice {name!r} has natsAccess, its application has not"
            yield (*here, "natsConfig"), rule, "Write natsConfig: {natsAccess: true} for the application, too."
    if generation.has_routes:
        yield from _check_routes(spec.get("routes"), (*where, "routes"), names)


def _wants_nats(holder: dict[str, Any]) -> bool:
    config = holder.get("natsConfig")
    return isinstance(config, dict) and bool(config.get("natsAccess"))


def _check_routes(routes: Any, where: Where, names: list[str]) -> Iterator[Problem]:
    taken: set[str] = set()
    for at, route in enumerate(routes if isinstance(routes, list) else []):
        here = (*where, at)
        if not isinstance(route, dict):
            yield here, f"a route {route!r}", "Write {name: …, from: …, to: …}."
            continue
        yield from unknown(route, ("name", "from", "to"), here, "a route")
        for end in ("from", "to"):
            if route.get(end) not in names:
                rule = f"a route {end} {route.get(end)!r}, which is no microservice here"
                yield here, rule, f"There are {', '.join(names)}."
        name = str(route.get("name", ""))
        if not NAME.fullmatch(name) or name in taken:
            twice = "is used twice" if name in taken else "is refused"
            yield here, f"the name {name!r} of a route {twice}", NAME_REMEDY
        taken.add(name)
