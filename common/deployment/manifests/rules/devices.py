"""Devices of containers: each that a service is told to open has a way in, and may be opened there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...documents import Where
from ...generations.facts import MAYBE, Generation, Problem
from .container import listed, mappings
from .liquid import placeholder, texts

_DEVICE = re.compile(r"/dev/(?!shm\b|null$|zero$|full$|u?random$)[\w./:+-]+")
_CDI_NAME = re.compile(r"[A-Za-z0-9.-]+/[A-Za-z0-9_-]+=[A-Za-z0-9_.:-]+")


def check_devices(container: dict[str, Any], where: Where, generation: Generation, config: Any) -> Iterator[Problem]:
    """The devices that config, variables and commands name, and the ways in that the container has."""
    privileged = bool(container.get("isPrivileged") or container.get("rootHostAccess"))
    mounted = mappings(container, "volumes")
    for at, volume in enumerate(mounted):
        source = str(volume.get("hostDestination", ""))
        if _DEVICE.fullmatch(source) and not privileged and generation.name != "3.0":
            rule = f"{source} as a volume cannot be opened (EPERM, the device cgroup)"
            yield (*where, "volumes", at), rule, _remedy(generation)
    devices = mappings(container, "devices")
    given = {str(device.get("containerPath")) for device in devices}
    for device in sorted(_wanted(container, config) - given):
        by_volume = any(_holds(str(volume.get("containerDestination", "")), device) for volume in mounted)
        if "rootHostAccess" in generation.container:
            if not by_volume and not container.get("rootHostAccess"):
                remedy = "Write rootHostAccess: true, and a volume of /dev if it can be replugged."
                yield where, f"{device} has no way into the container", remedy
        elif not container.get("cdiDevices") and not (privileged and by_volume):
            yield where, f"{device} has no way into the container", _remedy(generation)
    yield from _check_given(devices, where)
    if given and not privileged and "runAsGroup" not in container:
        remedy = "Write runAsGroup with the gid that owns the device on the node (stat -c %g)."
        yield (*where, "devices"), "devices, and no group that may open them (EACCES)", remedy
    yield from _check_cdi(container, where, generation, privileged=privileged)


def _check_given(devices: list[dict[str, Any]], where: Where) -> Iterator[Problem]:
    for at, device in enumerate(devices):
        here, source, rights = (*where, "devices", at), device.get("hostPath"), device.get("permissions", "rw")
        if isinstance(source, str) and not placeholder(source) and (not _DEVICE.fullmatch(source) or ".." in source):
            yield (*here, "hostPath"), f"hostPath {source!r} is not below /dev", "Write the device on the node."
        if isinstance(rights, str) and not placeholder(rights) and not re.fullmatch(r"[rwm]{1,3}", rights):
            yield (*here, "permissions"), f"permissions {rights!r}", "Write r, w and m, as rw."


def _check_cdi(
    container: dict[str, Any], where: Where, generation: Generation, *, privileged: bool
) -> Iterator[Problem]:
    if "cdiDevices" not in generation.container:
        return
    named = listed(container, "cdiDevices")
    for at, name in enumerate(named):
        if not isinstance(name, str) or not (placeholder(name) or _CDI_NAME.fullmatch(name)):
            remedy = "Write vendor/class=name, as the CDI file on the node has it: iofog.local/serial=gps."
            yield (*where, "cdiDevices", at), f"cdiDevices holds {name!r}", remedy
    user = str(container.get("runAsUser", ""))
    grouped = placeholder(user) or ":" in user or "runAsGroup" in container
    if named and not grouped and not privileged:
        remedy = 'Write it, as runAsUser: "10001:20"; or additionalGids in the CDI file.'
        yield (*where, "cdiDevices"), f"{MAYBE}devices, and no group that may open them (EACCES)", remedy


def _wanted(container: dict[str, Any], config: Any) -> set[str]:
    named = [text for _, text in texts(config, ())]
    named += [value for one in mappings(container, "env") if isinstance(value := one.get("value"), str)]
    named += [word.rpartition("=")[2] for word in listed(container, "commands") if isinstance(word, str)]
    return {text for text in named if _DEVICE.fullmatch(text)}


def _remedy(generation: Generation) -> str:
    if generation.has_devices:
        return "Write devices: [{hostPath: …, containerPath: …, permissions: rw}]."
    if "cdiDevices" in generation.container:
        return "Write cdiDevices, with a CDI file on the node; or isPrivileged: true and a volume of /dev."
    return "Write rootHostAccess: true."


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
