"""What can be wrong with a container: types, variables, ports, volumes, health, user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...documents import Where
from ...generations.facts import (
    CAPABILITIES,
    HEALTH,
    LIST_ITEMS,
    MAYBE,
    NEEDED,
    RESERVED_PORTS,
    Generation,
    Problem,
)
from .fields import TYPES, check_type
from .liquid import placeholder

_FROM = ("valueFromSecret", "valueFromConfigMap")


def check_container(
    container: dict[str, Any], where: Where, generation: Generation, *, in_template: bool
) -> Iterator[Problem]:
    """Fields of a container, its devices apart."""
    for key, kind in generation.container.items():
        if key in container:
            yield from check_type(container[key], kind, (*where, key), key, in_template=in_template)
    for key, members in LIST_ITEMS.items():
        if key in generation.container and isinstance(container.get(key), list):
            yield from _items(container[key], (*where, key), key, members, in_template=in_template)
    yield from _check_env(container, where, generation)
    for at, word in enumerate(listed(container, "commands")):
        if not isinstance(word, str):
            yield (*where, "commands", at), f"command {word!r} is no text, and refused", "Quote it."
    for at, port in enumerate(mappings(container, "ports")):
        yield from _check_port(port, (*where, "ports", at))
    for at, volume in enumerate(mappings(container, "volumes")):
        yield from _check_volume(volume, (*where, "volumes", at), generation)
    for key in ("capAdd", "capDrop"):
        for at, name in enumerate(listed(container, key)):
            if not isinstance(name, str) or name.upper().removeprefix("CAP_") not in CAPABILITIES:
                rule = f"{key} holds {name!r}, which is no capability and would be stored as it is"
                yield (*where, key, at), rule, "Write a name of capabilities(7), as NET_RAW, or ALL."
    memory = container.get("memoryLimit")
    if isinstance(memory, int) and not isinstance(memory, bool) and memory < 1:
        yield (*where, "memoryLimit"), f"memoryLimit = {memory}", "Write MiB, from 1."
    yield from _check_health(container.get("healthCheck"), (*where, "healthCheck"))
    yield from _check_user(container, where, generation, in_template=in_template)


def listed(container: dict[str, Any], key: str) -> list[Any]:
    """What a container has under a key that holds a list."""
    found = container.get(key)
    return found if isinstance(found, list) else []


def mappings(container: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The same for a list of mappings; what is none counts as an empty one."""
    return [item if isinstance(item, dict) else {} for item in listed(container, key)]


def _check_env(container: dict[str, Any], where: Where, generation: Generation) -> Iterator[Problem]:
    keys: set[str] = set()
    for at, variable in enumerate(listed(container, "env")):
        if not isinstance(variable, dict):
            continue
        here, key, value = (*where, "env", at), str(variable.get("key")), variable.get("value")
        if key in keys:
            yield here, f"variable {key!r} is used twice", "Keep one."
        keys.add(key)
        if key.startswith("EDGELET_") and not generation.is_java:
            yield here, f"variable {key!r}: Edgelet sets these itself", "Leave it out."
        filled = [name for name in _FROM if name in variable]
        for name in filled:
            if not generation.has_secrets:
                rule = f"{generation.name} drops {name} without a word: the variable has no value"
                yield (*here, name), rule, "Write value, or mount a file."
            elif not re.fullmatch(r"[^/\s]+/[^/\s]+", str(variable[name])):
                yield (*here, name), f"{name} = {variable[name]!r} is no name/key", "Write it like mqtt/password."
        if value is None and not filled:
            rule = f"variable {key!r} has no value, which the Controller answers with status 500"
            yield here, rule, "Write its value, in quotes."
        elif isinstance(value, bool | int | float):
            yield (*here, "value"), f"{MAYBE}value {value!r} of {key} becomes text", "Quote it."


def _check_port(port: dict[str, Any], where: Where) -> Iterator[Problem]:
    for end in ("internal", "external"):
        number = port.get(end)
        if isinstance(number, int) and not 0 < number < 65_536:
            yield (*where, end), f"ports.{end} = {number}", "Write 1 to 65535."
    if port.get("external") in RESERVED_PORTS:
        yield where, f"port {port['external']} is the agent's own", "Choose another."
    protocol = port.get("protocol", "tcp")
    if isinstance(protocol, str) and not placeholder(protocol) and protocol.lower() not in ("tcp", "udp"):
        yield (*where, "protocol"), f"ports.protocol = {protocol!r}", "Write tcp or udp."


def _check_volume(volume: dict[str, Any], where: Where, generation: Generation) -> Iterator[Problem]:
    kind, mode = volume.get("type", "bind"), volume.get("accessMode", "rw")
    if placeholder(kind) or placeholder(mode):
        return
    # Edgelet takes either case.
    if (kind.lower() if generation.is_edgelet and isinstance(kind, str) else kind) not in generation.volume_types:
        remedy = f"Write {' or '.join(generation.volume_types)}, in lower case."
        yield where, f"volume type {kind!r} is refused", remedy
    if mode not in ("ro", "rw"):
        yield where, f"volumes.accessMode = {mode!r}", "Write ro or rw."
    elif mode == "ro" and generation.is_java:
        yield where, f"{MAYBE}the agents of {generation.name} do not enforce ro", "Do not rely on it."


def _check_health(health: Any, where: Where) -> Iterator[Problem]:
    if not isinstance(health, dict):
        return
    for key, value in health.items():
        if key not in HEALTH:
            yield (*where, key), f"healthCheck has no {key!r}", f"There are {', '.join(HEALTH)}."
        elif not isinstance(value, TYPES[HEALTH[key]]) or isinstance(value, bool):
            rule = f"healthCheck.{key} = {value!r} is stored as nothing"
            yield (*where, key), rule, "Write a list of words." if key == "test" else "Write seconds, as an integer."
        elif key == "test" and not value:
            yield (*where, key), "healthCheck.test is empty", "Write a list of words."


def _check_user(
    container: dict[str, Any], where: Where, generation: Generation, *, in_template: bool
) -> Iterator[Problem]:
    user, group = (
        None if in_template and placeholder(container.get(key)) else container.get(key)
        for key in ("runAsUser", "runAsGroup")
    )
    numeric = r"\d+" if generation.has_devices else r"\d+(:\d+)?"
    if isinstance(user, str) and not re.fullmatch(numeric, user):
        example = '"10001", and the group as runAsGroup' if generation.has_devices else '"10001:20"'
        yield (*where, "runAsUser"), f"runAsUser {user!r}: names mean nothing here", f"Write numbers: {example}."
    if isinstance(group, str) and generation.has_devices and not group.isdecimal():
        yield (*where, "runAsGroup"), f"runAsGroup {group!r}: names mean nothing here", "Write the gid, in quotes."


def _items(
    items: list[Any], where: Where, key: str, members: dict[str, str], *, in_template: bool
) -> Iterator[Problem]:
    for at, item in enumerate(items):
        here = (*where, at)
        if not isinstance(item, dict):
            yield here, f"{key} holds {item!r}, which is no mapping", f"Write {', '.join(members)}."
            continue
        for name, value in item.items():
            if name not in members:
                yield (*here, name), f"{key} has no {name!r}; it would be dropped", f"There are {', '.join(members)}."
            else:
                yield from check_type(value, members[name], (*here, name), f"{key}.{name}", in_template=in_template)
        for name in NEEDED[key]:
            if name not in item:
                yield here, f"{key} without {name}", f"Write {name}."
