"""Checks manifests more strictly than ioFog: what would be refused, dropped, corrupted, or could not work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..documents import Document, Where
from ..generations import Generation, Schema, load_schema
from .clashes import check_clashes, kind_of, name_of, spec_of
from .problems import Finding, Problem, finding
from .rules import Microservice, check_microservice
from .schema import judge
from .templates import check_quotes, check_rendered, fill, has_braces, names_in, texts

_CDI = load_schema("cdi")


def check_documents(documents: list[Document], generation: Generation) -> list[Finding]:
    """Everything that is wrong in documents that are deployed together."""
    described = [] if generation.is_edgelet_alone else documents
    written = [_Template(one, generation) for one in described if kind_of(one) == "ApplicationTemplate"]
    templates = {each.name: each for each in written if each.name}
    found: list[tuple[Document, Problem]] = []
    microservices: list[Microservice] = []
    for document in documents:
        found += ((document, problem) for problem in _check(document, generation))
        own = list(_microservices(document, generation, templates))
        microservices += own
        if (made_by := templates.get(_template_name(document))) is not None:
            found += ((document, problem) for problem in made_by.check_use(document, own))
            continue
        found += ((document, problem) for one in own for problem in check_microservice(one, generation))
    found += ((each.document, problem) for each in written for problem in each.problems)
    found += check_clashes(documents, microservices)
    return sorted({finding(*each) for each in found}, key=lambda each: (each.file, each.line, each.rule))


def _check(document: Document, generation: Generation) -> Iterator[Problem]:
    content = document.content
    if not isinstance(content, dict):
        yield Problem((), "this document is not a mapping", "Write apiVersion, kind, metadata and spec.")
        return
    if "cdiVersion" in content:
        if "cdiDevices" in generation.container:
            yield from judge(content, _CDI, generation)
        else:
            yield Problem((), f"{generation.name} has no cdiDevices that could name this CDI file", "Leave it out.")
        return
    yield from judge(content, generation.schema, generation)
    kind, spec = kind_of(document), spec_of(document)
    if kind in ("Application", "Microservice") and not generation.is_edgelet_alone:
        yield from check_rendered(spec, ("spec",), generation)
    if kind == "Application":
        yield from _check_application(spec, ("spec",), generation)


def _check_application(spec: dict[str, Any], where: Where, generation: Generation) -> Iterator[Problem]:
    names = [one.get("name") for one in _mappings(spec, "microservices")]
    ends: dict[tuple[str, str], int] = {}
    for at, route in enumerate(_mappings(spec, "routes") if generation.has_routes else ()):
        for end in ("from", "to"):
            if end in route and route[end] not in names:
                rule = f"a route {end} {route[end]!r}, which is not a microservice here"
                yield Problem((*where, "routes", at), rule, f"There are {', '.join(dict.fromkeys(map(str, names)))}.")
        first = ends.setdefault((str(route.get("from")), str(route.get("to"))), at)
        if first != at and {"from", "to"} <= set(route):
            rule = f"a second route from {route['from']!r} to {route['to']!r}, which is answered with status 500"
            yield Problem((*where, "routes", at), rule, "Keep one.")
    for at, service in enumerate(_mappings(spec, "microservices") if generation.has_nats else ()):
        if _wants_nats(service) and not _wants_nats(spec):
            rule = f"microservice {service.get('name')!r} has natsAccess, its application has not"
            remedy = "Write natsConfig: {natsAccess: true} for the application, too."
            yield Problem((*where, "microservices", at, "natsConfig"), rule, remedy)


class _Template:
    """An ApplicationTemplate: what is wrong with it, and with the applications that are made from it."""

    def __init__(self, document: Document, generation: Generation) -> None:
        spec = spec_of(document)
        self.document, self._generation, self.name = document, generation, name_of(document)
        self.variables = {str(each.get("key")): each for each in _mappings(spec, "variables")}
        application = spec.get("application")
        self._application: dict[str, Any] = application if isinstance(application, dict) else {}
        self._judged: dict[tuple[Any, ...], list[Problem]] = {}
        self._places = list(_places(self._application, generation.parts["application"], generation))
        self.problems = list(self._check(spec))
        self._rules = {problem.rule for problem in self.problems}

    def make(self, use: Any) -> dict[str, Any]:
        """The application that a Controller makes with these variables."""
        made: dict[str, Any] = fill(self._application, self._values(use))
        return made

    def check_use(self, application: Document, made: list[Microservice]) -> Iterator[Problem]:
        """What is wrong with an application because of the variables that it gives."""
        use = spec_of(application)["template"]
        given = [str(variable.get("key")) for variable in _mappings(use, "variables")]
        for at, key in enumerate(given):
            if key not in self.variables:
                rule = f"variable {key!r} is ignored: template {self.name!r} does not have it"
                remedy = f"There are {', '.join(self.variables)}."
                yield Problem(("spec", "template", "variables", at), rule, remedy)
        for key, variable in self.variables.items():
            if "defaultValue" not in variable and key not in given:
                rule = f"variable {key!r} is not given, and would be rendered as null"
                yield Problem(("spec", "template"), rule, "Give it a value.")
        problems = [*self._judge(self._values(use))]
        for one in made:
            problems += check_microservice(one, self._generation)
        for _, rule, remedy, warning in problems:
            if rule not in self._rules and not warning:
                yield Problem(("spec", "template"), f"with these variables: {rule}", remedy)

    def _check(self, spec: dict[str, Any]) -> Iterator[Problem]:
        where, generation = ("spec", "application"), self._generation
        yield from _check_application(self._application, where, generation)
        yield from check_rendered(self._application, where, generation, self.variables)
        for at, service in enumerate(_mappings(self._application, "microservices")):
            one = Microservice(self.document, (*where, "microservices", at), "", "", service)
            yield from check_microservice(one, generation)
        defaults = {key: each["defaultValue"] for key, each in self.variables.items() if "defaultValue" in each}
        for problem in self._judge(defaults):
            yield problem._replace(where=(*where, *problem.where))

    def _judge(self, values: Mapping[str, Any]) -> Iterator[Problem]:
        """What is wrong with what these variables are rendered to."""
        for path, text, schema in self._places:
            value = fill(text, values) if names_in(text) <= set(values) else text
            if path[-1] == "value" and "env" in path and isinstance(value, int | float):
                rule = f"{text!r} is a number or truth value, which is refused in env"
                yield Problem(path, rule, 'Write "{{ … | toString }}".')
            elif isinstance(value, str) and has_braces(value):
                yield from check_rendered(value, path, self._generation, self.variables) if value != text else ()
            elif schema is None:
                yield from check_quotes(value, path)
            elif value is not None:
                yield from self._judge_place(value, schema, path)

    def _judge_place(self, value: Any, schema: Schema, path: Where) -> list[Problem]:
        """Nodes of a fleet give mostly the same values."""
        if not isinstance(value, str | int | float):
            return list(judge(value, schema, self._generation, path))
        key = path, type(value), value
        if key not in self._judged:
            self._judged[key] = list(judge(value, schema, self._generation, path))
        return self._judged[key]

    def _values(self, use: Any) -> dict[str, Any]:
        values = {key: variable.get("defaultValue") for key, variable in self.variables.items()}
        return values | {str(each.get("key")): each.get("value") for each in _mappings(use, "variables")}


def _places(value: Any, schema: Schema | None, generation: Generation) -> Iterator[tuple[Where, str, Schema | None]]:
    """Every rendered text of a template with the schema of what it becomes; None where anything may be written."""
    for path, text in texts(value, ()):
        if has_braces(text) and path[-1] != text:
            part: Any = schema
            for step in path:
                part = _part(part, step)
            yield path, text, part or None


def _part(schema: Any, step: str | int) -> Schema:
    """The schema of a member, out of what one says by `properties`, `items` and `allOf`."""
    if not isinstance(schema, dict):
        return {}
    own = schema.get("items") if isinstance(step, int) else schema.get("properties", {}).get(step)
    found = [own, *(_part(each, step) for each in schema.get("allOf", ()))]
    parts = [each for each in found if isinstance(each, dict) and each]
    return {"allOf": parts} if parts else {}


def _microservices(
    document: Document, generation: Generation, templates: Mapping[str, _Template]
) -> Iterator[Microservice]:
    """Those that a document deploys."""
    kind, name, spec = kind_of(document), name_of(document), spec_of(document)
    if kind == "Microservice":
        node = document.file if generation.is_edgelet_alone else _node(spec)
        yield Microservice(document, ("spec",), name, node, spec)
    elif kind == "Application":
        template = templates.get(_template_name(document))
        content = spec if template is None else template.make(spec["template"])
        for at, service in enumerate(_mappings(content, "microservices")):
            where: Where = ("spec", "microservices", at) if template is None else ("spec", "template")
            full = f"{name}/{service.get('name')}"
            yield Microservice(document, where, full, _node(service), service, made=template is not None)


def _template_name(document: Document) -> str:
    use = spec_of(document).get("template")
    return str(use.get("name", "")) if isinstance(use, dict) and kind_of(document) == "Application" else ""


def _node(service: dict[str, Any]) -> str:
    agent = service.get("agent")
    return str(agent.get("name", "")) if isinstance(agent, dict) else ""


def _wants_nats(holder: dict[str, Any]) -> bool:
    config = holder.get("natsConfig")
    return isinstance(config, dict) and bool(config.get("natsAccess"))


def _mappings(holder: Any, key: str) -> list[dict[str, Any]]:
    found = holder.get(key) if isinstance(holder, dict) else None
    return [each if isinstance(each, dict) else {} for each in found] if isinstance(found, list) else []
