"""CDI files (Container Device Interface), by which nodes of 3.6 and 3.7 give a container single devices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...generations.facts import Generation, Problem

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9.-]*/[A-Za-z][A-Za-z0-9_-]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_LINKS = ("/dev/serial/by-id/", "/dev/serial/by-path/", "/dev/disk/by-")
_GROUPS_FROM = (0, 7)


def is_cdi(content: Any) -> bool:
    """Whether a document is a CDI file."""
    return isinstance(content, dict) and "cdiVersion" in content


def check_cdi(content: dict[str, Any], generation: Generation) -> Iterator[Problem]:
    """What container engines would refuse."""
    if "cdiDevices" not in generation.container:
        yield (), f"{generation.name} has no cdiDevices that could name this CDI file", "It is for 3.6 and 3.7."
        return
    for key in content:
        if key not in ("cdiVersion", "kind", "devices", "annotations", "containerEdits"):
            yield (key,), f"a CDI file has no {key!r}", "There are cdiVersion, kind, devices."
    version = _VERSION.fullmatch(str(content["cdiVersion"]))
    if version is None:
        yield ("cdiVersion",), f"cdiVersion {content['cdiVersion']!r} is none", 'Write "0.6.0", in quotes.'
    if not _KIND.fullmatch(str(content.get("kind"))):
        where = ("kind",) if "kind" in content else ()
        yield where, f"kind {content.get('kind')!r} is no vendor/class", "Write it like iofog.local/serial."
    devices = content.get("devices")
    if not isinstance(devices, list) or not devices:
        yield ("devices",), "no devices", "List one at least: a name and containerEdits.deviceNodes."
        return
    names: set[str] = set()
    for at, device in enumerate(devices):
        name = str(device.get("name", "")) if isinstance(device, dict) else ""
        if not _NAME.fullmatch(name) or not isinstance(device.get("containerEdits"), dict):
            yield ("devices", at), "a device without name or containerEdits", "Write both."
            continue
        if name in names:
            yield ("devices", at, "name"), f"device {name!r} is used twice", "Name it otherwise."
        names.add(name)
        groups_known = version is None or (int(version[1]), int(version[2])) >= _GROUPS_FROM
        if "additionalGids" in device["containerEdits"] and not groups_known:
            yield ("devices", at), "additionalGids exists from cdiVersion 0.7.0", 'Write cdiVersion: "0.7.0".'
        nodes = device["containerEdits"].get("deviceNodes")
        for n, node in enumerate(nodes if isinstance(nodes, list) else []):
            for problem, remedy in _wrong(node):
                yield ("devices", at, "containerEdits", "deviceNodes", n), problem, remedy


def _wrong(node: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(node, dict) or not isinstance(node.get("path"), str):
        yield "a device node without path", "Write path: what it is called in the container."
        return
    source = str(node.get("hostPath", node["path"]))
    if not source.startswith("/dev/"):
        yield f"hostPath {source!r} is not below /dev", "Write the device node."
    elif source.startswith(_LINKS):
        remedy = "Name the node itself, or one that a udev rule makes, as /dev/iofog/gps: deploy/udev shows how."
        yield f"hostPath {source} is a link, which CDI refuses", remedy
    if not re.fullmatch(r"[rwm]{1,3}", str(node.get("permissions", "rw"))):
        yield f"permissions {node['permissions']!r}", "Write r, w and m, as rw."
