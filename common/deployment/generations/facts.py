"""The ioFog generations: a JSON Schema each, from their sources and from running Controllers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

Schema: TypeAlias = "dict[str, Any]"

_FOLDER = Path(__file__).with_name("schemas")
_NAMES = ("iofog-3.0", "iofog-3.6", "iofog-3.7", "iofog-3.8", "iofog-3.9", "edgelet-1.0", "edgelet-1.1")
_ABOUT_THE_FILE = ("$schema", "$id", "$comment", "$defs", "$dynamicAnchor", "$ref", "$dynamicRef")


class Generation(NamedTuple):
    """One generation.

    Parameters:
        schema: of its manifests, without references.
        parts: of the schema: `container`, `microservice`, `application`.
        name: as on the command line.
        folder: in `deploy/`.
        not_enforced: what a manifest can say and the node does not do.
        state: what happens to a volume when its microservice is made again.
        api_versions: that its command line tool accepts.
        kinds: of documents.
        container: fields of a container that are applied.
        is_java: whether the node runs the Java agent.
        is_edgelet_alone: whether there is no Controller, so that nothing is rendered and settings are variables.
        has_nats, has_routes: whether these carry messages.
        has_devices: whether a container can be given single device nodes.
        has_cdi_only: whether CDI is the one way to give a container a single device.
        has_secrets: whether the Controller fills variables from secrets.
        has_shared_volumes: whether a volume can outlive a microservice of Edgelet.
    """

    schema: Schema
    parts: dict[str, Schema]
    name: str
    folder: str
    not_enforced: str
    state: str
    api_versions: tuple[str, ...]
    kinds: frozenset[str]
    container: frozenset[str]
    is_java: bool
    is_edgelet_alone: bool
    has_nats: bool
    has_routes: bool
    has_devices: bool
    has_cdi_only: bool
    has_secrets: bool
    has_shared_volumes: bool


def _generation(name: str) -> Generation:
    top = _file(name)
    schema, parts = load_schema(name), {part: _resolved(each, top, top) for part, each in top["$defs"].items()}
    kinds, container = frozenset(schema["properties"]["kind"]["enum"]), frozenset(fields(parts["container"]))
    return Generation(
        schema,
        parts,
        top["title"],
        **{key: top["facts"][key] for key in ("folder", "not_enforced", "state")},
        api_versions=tuple(schema["properties"]["apiVersion"]["enum"]),
        kinds=kinds,
        container=container,
        is_java=top["facts"]["node"] == "java",
        is_edgelet_alone="Application" not in kinds,
        has_nats="natsConfig" in parts["microservice"]["properties"],
        has_routes="Route" in kinds,
        has_devices="devices" in container,
        has_cdi_only="cdiDevices" in container and "devices" not in container,
        has_secrets="Secret" in kinds,
        has_shared_volumes="scope" in fields(parts["container"]["properties"]["volumes"]["items"]),
    )


@cache
def _file(name: str) -> Schema:
    content: Schema = json.loads((_FOLDER / f"{name}.json").read_text())
    return content


def fields(schema: Schema) -> list[str]:
    """Members that a schema allows."""
    return [key for key, each in schema["properties"].items() if each is True or each.get("not") != {}]


def load_schema(name: str) -> Schema:
    """A schema with each reference replaced by what it refers to: parts of it can be used by themselves."""
    return resolve(_file(name))


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


GENERATIONS = {generation.name: generation for generation in map(_generation, _NAMES)}


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
