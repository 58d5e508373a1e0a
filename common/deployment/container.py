"""What can be wrong with a container: types, devices, groups, health, and config that the platform would corrupt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from .documents import Where
from .generations import ANY, HEALTH, INTEGER, LIST, LIST_ITEMS, MAP, NEEDED, RESERVED_PORTS, TEXT, TRUTH, Generation

Problem: TypeAlias = "tuple[Where, str, str]"
"""Where, what is wrong, and what to write instead; what need not be mended begins with `MAYBE`."""
MAYBE = "perhaps: "

_LIQUID = re.compile(r"\{\{|\{%")
_WHOLE_VARIABLE = re.compile(r"\{\{\s*[a-z0-9.-]+(\s*\|[^{}]*)?\s*\}\}")
_DEVICE = re.compile(r"/dev/(?!shm\b|null\b|zero\b|u?random\b)[\w./:-]+")
_TYPES: dict[str, type[Any] | tuple[type[Any], ...]] = {TEXT: str, INTEGER: int, TRUTH: bool, LIST: list, MAP: dict}


def check_config(config: Any, where: Where, *, in_template: bool) -> Iterator[Problem]:
    """Config that arrives as it was written, and nothing else."""
    for path, text in _texts(config, where):
        if '"' in text:
            rule = "a double quote in config: the Controller stores text that is no JSON any more"
            yield path, rule, "Write it without double quotes."
        if _LIQUID.search(text) and not (in_template and _WHOLE_VARIABLE.fullmatch(text)):
            rule = f"{text!r}: the Controller renders what stands in {{{{ }}}} or {{% %}}"
            remedy = "In a template, let the variable be the whole value." if in_template else "Leave the braces out."
            yield path, rule, remedy


def check_container(
    container: dict[str, Any], where: Where, generation: Generation, config: Any, *, in_template: bool
) -> Iterator[Problem]:
    """Fields of a container."""
    for key, kind in generation.container.items():
        if key in container:
            yield from _typed(container[key], kind, (*where, key), key, in_template=in_template)
    for key, members in LIST_ITEMS.items():
        if key in generation.container and isinstance(container.get(key), list):
            yield from _items(container[key], (*where, key), key, members, in_template=in_template)
    for at, variable in enumerate(_list(container, "env")):
        yield from _check_env(variable, (*where, "env", at))
    for at, word in enumerate(_list(container, "commands")):
        if not isinstance(word, str):
            yield (*where, "commands", at), f"command {word!r} is no text, and refused", "Quote it."
    for at, port in enumerate(_list(container, "ports")):
        external = port.get("external") if isinstance(port, dict) else None
        if external in RESERVED_PORTS:
            yield (*where, "ports", at), f"port {external} is the agent's own", "Choose another."
    for at, volume in enumerate(_list(container, "volumes")):
        kind = volume.get("type", "bind") if isinstance(volume, dict) else "bind"
        if generation.name != "edgelet" and kind not in generation.volume_types:
            remedy = f"Write {' or '.join(generation.volume_types)}, in lower case."
            yield (*where, "volumes", at), f"volume type {kind!r} is refused", remedy
    yield from _check_health(container.get("healthCheck"), (*where, "healthCheck"))
    yield from _check_user(container, where, generation, in_template=in_template)
    yield from _check_devices(container, where, generation, config)


def _check_env(variable: Any, where: Where) -> Iterator[Problem]:
    if not isinstance(variable, dict):
        return
    value = variable.get("value")
    if value is None and not {"valueFromSecret", "valueFromConfigMap"} & set(variable):
        rule = f"variable {variable.get('key')!r} has no value, which the Controller answers with status 500"
        yield where, rule, "Write its value, in quotes."


def _check_health(health: Any, where: Where) -> Iterator[Problem]:
    if not isinstance(health, dict):
        return
    for key, value in health.items():
        if key not in HEALTH:
            yield (*where, key), f"healthCheck has no {key!r}", f"There are {', '.join(HEALTH)}."
        elif not isinstance(value, _TYPES[HEALTH[key]]) or isinstance(value, bool):
            rule = f"healthCheck.{key} = {value!r} is stored as nothing"
            yield (*where, key), rule, "Write a list of words." if key == "test" else "Write seconds, as an integer."


def _check_user(
    container: dict[str, Any], where: Where, generation: Generation, *, in_template: bool
) -> Iterator[Problem]:
    user, group = (
        None if in_template and _WHOLE_VARIABLE.fullmatch(str(container.get(key))) else container.get(key)
        for key in ("runAsUser", "runAsGroup")
    )
    numeric = r"\d+" if generation.has_devices else r"\d+(:\d+)?"
    if isinstance(user, str) and not re.fullmatch(numeric, user):
        example = '"10001", and the group as runAsGroup' if generation.has_devices else '"10001:20"'
        yield (*where, "runAsUser"), f"runAsUser {user!r}: names mean nothing here", f"Write numbers: {example}."
    if isinstance(group, str) and generation.has_devices and not group.isdecimal():
        yield (*where, "runAsGroup"), f"runAsGroup {group!r}: names mean nothing here", "Write the gid, in quotes."


def _check_devices(container: dict[str, Any], where: Where, generation: Generation, config: Any) -> Iterator[Problem]:
    """Every device that the service is told to open has a way into the container, and may be opened."""
    privileged = bool(container.get("isPrivileged") or container.get("rootHostAccess"))
    wanted = {match for _, text in _texts(config, ()) for match in _DEVICE.findall(text)}
    for variable in _list(container, "env"):
        if isinstance(variable, dict) and isinstance(variable.get("value"), str):
            wanted |= set(_DEVICE.findall(variable["value"]))
    mounted = [volume for volume in _list(container, "volumes") if isinstance(volume, dict)]
    for at, volume in enumerate(mounted):
        source = str(volume.get("hostDestination", ""))
        if _DEVICE.fullmatch(source) and not privileged and generation.name != "3.0":
            rule = f"{source} as a volume cannot be opened (EPERM, the device cgroup)"
            yield (*where, "volumes", at), rule, _device_remedy(generation)
    given = {str(device.get("containerPath")) for device in _list(container, "devices") if isinstance(device, dict)}
    for device in sorted(wanted - given):
        by_volume = any(_holds(str(v.get("containerDestination", "")), device) for v in mounted)
        if generation.name == "3.0":
            if not by_volume and not container.get("rootHostAccess"):
                rule = f"{device} has no way into the container"
                yield where, rule, "Write rootHostAccess: true, and a volume of /dev if it can be replugged."
        elif not container.get("cdiDevices") and not (privileged and by_volume):
            yield where, f"{device} has no way into the container", _device_remedy(generation)
    if given and not privileged and "runAsGroup" not in container:
        remedy = "Write runAsGroup with the gid that owns the device on the node (stat -c %g)."
        yield (*where, "devices"), "devices, and no group that may open them (EACCES)", remedy


def _device_remedy(generation: Generation) -> str:
    if generation.has_devices:
        return "Write devices: [{hostPath: …, containerPath: …, permissions: rw}]."
    if "cdiDevices" in generation.container:
        return "Write cdiDevices, with a CDI file on the node; or isPrivileged: true and a volume of /dev."
    return "Write rootHostAccess: true."


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _typed(value: Any, kind: str, where: Where, key: str, *, in_template: bool) -> Iterator[Problem]:
    if kind == ANY or (in_template and isinstance(value, str) and _WHOLE_VARIABLE.fullmatch(value)):
        return
    if not isinstance(value, _TYPES[kind]) or (kind == INTEGER and isinstance(value, bool)):
        article = "an" if kind == INTEGER else "a" if kind in (LIST, MAP, TEXT) else ""
        yield where, f"{key} = {value!r} is not {article} {kind}".replace("not  ", "not "), f"Write {article} {kind}."


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
                yield from _typed(value, members[name], (*here, name), f"{key}.{name}", in_template=in_template)
        for name in NEEDED[key]:
            if name not in item:
                yield here, f"{key} without {name}", f"Write {name}."


def _list(container: dict[str, Any], key: str) -> list[Any]:
    found = container.get(key)
    return found if isinstance(found, list) else []


def _texts(value: Any, where: Where) -> Iterator[tuple[Where, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*where, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _texts(inner, (*where, at))
