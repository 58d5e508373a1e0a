"""A fleet out of its file, and whether it can be deployed as it is written: names, values, devices, settings."""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from device_bridge import DeviceService, SettingsError
from device_bridge.settings import SettingsSources

from ..documents import Document, ManifestError, Where, load
from ..manifests.rules.liquid import check_literal, texts
from .model import NODE, Fleet, FleetError, Kit, Node, needs_of, replaced, values_used
from .rendering import on_node

_RESERVED = ("agent", NODE)
_RESERVED_BEGINNINGS = ("gid-", "user-")
_NAME_MAX = 63
_PATH = re.compile(r"`\$([^`]*)`$")
_STEP = re.compile(r"[^.\[\]]+")


def read_fleet(file: Path) -> Fleet:
    """A fleet out of its file, complete and consistent. Raises FleetError, which names the line."""
    try:
        documents = load(file)
    except ManifestError as error:
        raise FleetError(str(error)) from None
    if len(documents) > 1:
        raise FleetError(f"{file}: {len(documents)} documents. A fleet is one")
    (document,) = documents
    try:
        fleet = msgspec.convert(document.content, Fleet)
    except msgspec.ValidationError as error:
        problem, _, at = str(error).partition(" - at ")
        match = _PATH.search(at)
        path = match[1].lstrip(".") if match else ""
        where = tuple(int(one) if one.isdecimal() else one for one in _STEP.findall(path))
        raise FleetError(f"{file}:{document.line(where)}: {path or 'fleet'}: {problem}") from None
    _FleetCheck(fleet, document).run()
    return fleet


class _FleetCheck:
    """One fleet with the lines of its file."""

    def __init__(self, fleet: Fleet, document: Document) -> None:
        self._fleet, self._document = fleet, document

    def run(self) -> None:
        for name, kit in self._fleet.kits.items():
            self._check_kit(name, kit)
        self._once((node.name for node in self._fleet.nodes), ("nodes",), "node")
        for at, node in enumerate(self._fleet.nodes):
            self._check_node(node, ("nodes", at))
        names = [f"{node.kit}-{node.name}" for node in self._fleet.nodes]
        self._once(names, ("nodes",), "application")
        for at, name in enumerate(names):
            if len(name) > _NAME_MAX:
                self._fail(("nodes", at), f"application {name!r} has more than {_NAME_MAX} characters")

    def _fail(self, where: Where, problem: str) -> None:
        raise FleetError(f"{self._document.file}:{self._document.line(where)}: {problem}")

    def _once(self, names: Iterable[str], where: Where, what: str) -> None:
        listed = list(names)
        for name, count in Counter(listed).items():
            if count > 1:
                last = len(listed) - 1 - listed[::-1].index(name)
                self._fail((*where, last), f"{what} {name!r} is used twice")

    def _literal(self, value: Any, where: Where) -> None:
        for path, rule, remedy in check_literal(value, where):
            self._fail(path, f"{rule}. {remedy}")

    def _check_kit(self, name: str, kit: Kit) -> None:
        here: Where = ("kits", name)
        known = [one.name for one in kit.services]
        self._once(known, (*here, "services"), "service")
        ports = [str(one.metrics_port or one.name) for one in kit.services]
        self._once(ports, (*here, "services"), "metrics_port")
        pages = [str(one.page_port) for one in kit.services if one.page_port]
        self._once([*set(ports), *pages], (*here, "services"), "page_port")
        used = {value for one in kit.services for value in values_used((one.device, one.config))}
        for value in kit.defaults:
            self._check_name(value, (*here, "defaults", value))
            if value not in used:
                self._fail((*here, "defaults", value), f"value {value!r} is not used by kit {name}")
        self._literal(kit.defaults, (*here, "defaults"))
        for at, one in enumerate(kit.services):
            where = (*here, "services", at)
            try:
                if one.page_port and not needs_of(one.service).page_setting:
                    self._fail((*where, "page_port"), f"{one.service} has no page. Leave it out")
                needs_of(one.service)
            except FleetError as error:
                self._fail((*where, "service"), str(error))
            self._literal(one.config, (*where, "config"))
        for at, route in enumerate(kit.routes):
            for end in (route.source, route.to):
                if end not in known:
                    self._fail((*here, "routes", at), f"a route names {end!r}; there are {', '.join(known)}")

    def _check_name(self, value: str, where: Where) -> None:
        if value in _RESERVED or value.startswith(_RESERVED_BEGINNINGS):
            self._fail(where, f"value {value!r} is the manifests' own ($node is the node's name). Name it otherwise")

    def _check_node(self, node: Node, where: Where) -> None:
        fleet = self._fleet
        kit = fleet.kits.get(node.kit)
        if kit is None:
            self._fail((*where, "kit"), f"there is no kit {node.kit!r}; there are {', '.join(fleet.kits)}")
            return
        used = {name for one in kit.services for name in values_used((one.device, one.config))}
        if missing := sorted(used - set(kit.defaults) - set(node.values) - {NODE}):
            self._fail(where, f"a value for ${missing[0]} is missing; give it here or under the kit's defaults")
        for value in node.values:
            self._check_name(value, (*where, "values", value))
            if value not in used:
                self._fail((*where, "values", value), f"value {value!r} is not used by kit {node.kit}")
        self._literal(node.values, (*where, "values"))
        self._check_whole(kit, node)
        serial: set[str] = set()
        for at, one in enumerate(kit.services):
            bus = needs_of(one.service).bus
            place: Where = ("kits", node.kit, "services", at)
            if bus is None:
                if one.device:
                    self._fail((*place, "device"), f"{one.name} has no device; {one.service} needs none")
                continue
            if bus not in fleet.groups and bus not in node.groups:
                remedy = f"stat -c %g {one.device} on the node"
                self._fail(where, f"group of {bus} devices is missing ({remedy})")
            device = str(replaced(one.device, kit.defaults | node.values))
            if not device.startswith("/dev/") or ".." in device:
                self._fail(where, f"device {device!r} of {one.name} is not below /dev")
            if bus == "serial" and device in serial:
                self._fail(where, f"device {device} of {one.name} is another service's already: one can open it")
            serial.add(device)
        self._check_settings(node, where)

    def _check_whole(self, kit: Kit, node: Node) -> None:
        names = {name.casefold(): name for name in (*kit.defaults, *node.values, NODE)}
        for at, one in enumerate(kit.services):
            for path, text in texts(one.config, ("kits", node.kit, "services", at, "config")):
                for word in text.split("$")[1:]:
                    name = names.get(word.casefold())
                    if name is not None and text != f"${name}":
                        self._fail(path, f"{text!r}: ${name} is replaced as a whole value only, in lower case")

    def _check_settings(self, node: Node, where: Where) -> None:
        for placed in on_node(self._fleet, node):
            try:
                text = json.dumps(placed.settings("3.8"))
            except FleetError as error:
                self._fail(where, str(error))
                return
            if problem := _refused(placed.service.service, text):
                self._fail(where, f"{placed.service.name}: {problem}")


@functools.cache
def _refused(service: str, config: str) -> str:
    """Why a service would not start on its config; "" if it would."""
    service_type = service_type_of(service)
    try:
        service_type(SettingsSources(service_type.settings_type, file=None, environment={}).resolve(config))
    except SettingsError as error:
        return str(error)
    return ""


@functools.cache
def service_type_of(service: str) -> type[DeviceService[Any]]:
    """The class in a service's `service.py`. Raises FleetError where there is none."""
    module = import_module(f"{service}.service")
    for _, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, DeviceService) and found.__module__ == module.__name__:
            return found
    raise FleetError(f"service {service!r} has no DeviceService in its service.py")
