"""The ioFog generations: a JSON Schema each, from their sources and from running Controllers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeAlias

Schema: TypeAlias = "dict[str, Any]"

_FOLDER = Path(__file__).with_name("schemas")
_NAMES = ("iofog-3.0", "iofog-3.6", "iofog-3.7", "iofog-3.8", "iofog-3.9", "edgelet-1.0", "edgelet-1.1")
_ABOUT_THE_FILE = ("$schema", "$id", "$comment", "$defs", "$dynamicAnchor", "$ref", "$dynamicRef")


@dataclass(frozen=True)
class Generation:
    """One generation.

    Parameters:
        schema: of its manifests, without references.
    """

    schema: Schema

    @property
    def name(self) -> str:
        """As on the command line."""
        return str(self.schema["title"])

    @property
    def folder(self) -> str:
        """Its folder in `deploy/`."""
        return str(self.schema["facts"]["folder"])

    @property
    def not_enforced(self) -> str:
        """What a manifest can say and the node does not do."""
        return str(self.schema["facts"]["not_enforced"])

    @property
    def state(self) -> str:
        """What happens to a volume when its microservice is made again."""
        return str(self.schema["facts"]["state"])

    @cached_property
    def api_versions(self) -> tuple[str, ...]:
        """Those that its command line tool accepts."""
        return tuple(self.schema["properties"]["apiVersion"]["enum"])

    @cached_property
    def kinds(self) -> frozenset[str]:
        """Kinds of documents."""
        return frozenset(self.schema["properties"]["kind"]["enum"])

    @cached_property
    def container(self) -> frozenset[str]:
        """Fields of a container that are applied."""
        return frozenset(fields(self.part("container")))

    def part(self, name: str) -> Schema:
        """The schema of a `container`, `microservice` or `application`."""
        found: Schema = self.schema["parts"][name]
        return found

    @property
    def is_edgelet_alone(self) -> bool:
        """Whether there is no Controller, so that manifests are not rendered and settings are variables."""
        return "Application" not in self.kinds

    @property
    def is_java(self) -> bool:
        """Whether the node runs the Java agent."""
        return str(self.schema["facts"]["node"]) == "java"

    @cached_property
    def has_nats(self) -> bool:
        """Whether NATS carries messages."""
        return "natsConfig" in self.part("microservice")["properties"]

    @property
    def has_routes(self) -> bool:
        """Whether routes carry messages."""
        return "Route" in self.kinds

    @property
    def has_devices(self) -> bool:
        """Whether a container can be given single device nodes."""
        return "devices" in self.container

    @property
    def has_cdi_only(self) -> bool:
        """Whether CDI is the one way to give a container a single device."""
        return "cdiDevices" in self.container and not self.has_devices

    @property
    def has_secrets(self) -> bool:
        """Whether the Controller fills variables from secrets."""
        return "Secret" in self.kinds

    @cached_property
    def has_shared_volumes(self) -> bool:
        """Whether a volume can outlive a microservice of Edgelet."""
        return "scope" in self.part("container")["properties"]["volumes"]["items"]["properties"]


@cache
def _file(name: str) -> Schema:
    content: Schema = json.loads((_FOLDER / f"{name}.json").read_text())
    return content


def fields(schema: Schema) -> list[str]:
    """Members that a schema allows."""
    return [key for key, each in schema["properties"].items() if each is True or each.get("not") != {}]


def load_schema(name: str) -> Schema:
    """A schema with each reference replaced by what it refers to: parts of it can be used by themselves."""
    top = _file(name)
    schema: Schema = _resolved(top, top, top)
    return schema | {"parts": {part: _resolved(each, top, top) for part, each in top.get("$defs", {}).items()}}


def resolve(schema: Schema) -> Schema:
    """A schema with references to its own parts, without them."""
    resolved: Schema = _resolved(schema, schema, schema)
    return resolved


def _resolved(value: Any, home: Schema, top: Schema) -> Any:
    if isinstance(value, list):
        return [_resolved(each, home, top) for each in value]
    if not isinstance(value, dict):
        return value
    own = {key: _resolved(each, home, top) for key, each in value.items() if key not in _ABOUT_THE_FILE}
    if "$dynamicRef" in value:
        return _resolved(top["$defs"][value["$dynamicRef"].removeprefix("#")], top, top) | own
    if "$ref" in value:
        file, _, name = value["$ref"].partition("#/$defs/")
        home = _file(file.removesuffix(".json")) if file else home
        return _resolved(home["$defs"][name], home, top) | own
    return own


GENERATIONS = {generation.name: generation for generation in map(Generation, map(load_schema, _NAMES))}


@cache
def generations_with(title: str, key: str) -> tuple[str, ...]:
    """Names of the generations in which the thing of this title has this field."""
    return tuple(
        name
        for name, generation in GENERATIONS.items()
        if any(key in properties for properties in _properties(generation.schema, title))
    )


def _properties(schema: Any, title: str) -> Iterator[list[str]]:
    if isinstance(schema, list):
        for each in schema:
            yield from _properties(each, title)
    elif isinstance(schema, dict):
        if schema.get("title") == title and isinstance(schema.get("properties"), dict):
            yield fields(schema)
        for each in schema.values():
            yield from _properties(each, title)
