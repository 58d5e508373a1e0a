"""A fleet out of its file, and whether it can be deployed as it is written: names, values, devices, settings.

Every mistake is reported at once, at its own line: a kit's in the kit, a node's at the node.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from device_bridge import SettingsError
from device_bridge.gateway import check_entries
from device_bridge.settings import SettingsSources
from iofog_sdk import did_you_mean
from workspace.services import ServiceError, bus_of_path, known_services, needs_of, service_type_of

from ..documents import Document, ManifestError, Where, load
from ..generations import GENERATIONS, resolve
from ..manifests import check_literal, judge, texts
from .microservice import Placed
from .model import NODE, Fleet, FleetError, Kit, Node, values_used
from .rendering import on_node

_RESERVED = ("agent", NODE)
_RESERVED_BEGINNINGS = ("gid-", "user-")
_NAME_MAX = 63
_STEP = re.compile(r"[^.\[\]]+")


def read_fleet(file: Path) -> Fleet:
    """A fleet out of its file, complete and consistent. Raises FleetError, with a line for each mistake."""
    try:
        documents = load(file)
    except ManifestError as error:
        raise FleetError(str(error)) from None
    if len(documents) > 1:
        raise FleetError(f"{file}: {len(documents)} documents. A fleet is one")
    (document,) = documents
    content = document.content
    if isinstance(content, dict) and isinstance(content.get("generation"), float):
        content["generation"] = str(content["generation"])  # 3.9 without quotes
    problems = [
        f"{file}:{document.line(where)}: {rule}. {remedy}" for where, rule, remedy, _ in judge(content, _schema())
    ]
    if problems:
        raise FleetError(*dict.fromkeys(problems))
    fleet = msgspec.convert(content, Fleet)
    checked = _FleetCheck(fleet, document)
    checked.run()
    if checked.problems:
        raise FleetError(*(f"{file}:{line}: {problem}" for line, problem in sorted(checked.problems)))
    return fleet


@cache
def _schema() -> dict[str, Any]:
    return resolve(msgspec.json.schema(Fleet)) | {"title": "a fleet"}


class _FleetCheck:
    """One fleet with the lines of its file; what is wrong is collected."""

    def __init__(self, fleet: Fleet, document: Document) -> None:
        self._fleet, self._document = fleet, document
        self.problems: set[tuple[int, str]] = set()

    def run(self) -> None:
        fleet = self._fleet
        if fleet.generation and fleet.generation not in GENERATIONS:
            self._add(("generation",), _unknown("generation", fleet.generation, GENERATIONS))
        for name, kit in fleet.kits.items():
            self._check_kit(name, kit)
        self._once((node.name for node in fleet.nodes), ("nodes",), "node")
        for at, node in enumerate(fleet.nodes):
            self._check_node(node, ("nodes", at))
        names = [f"{node.kit}-{node.name}" for node in fleet.nodes]
        self._once(names, ("nodes",), "application")
        for at, name in enumerate(names):
            if len(name) > _NAME_MAX:
                self._add(("nodes", at), f"application {name!r} has more than {_NAME_MAX} characters")

    def _add(self, where: Where, problem: str) -> None:
        self.problems.add((self._document.line(where), problem))

    def _once(self, names: Iterable[str], where: Where, what: str) -> None:
        seen: set[str] = set()
        for at, name in enumerate(names):
            if name in seen:
                self._add((*where, at), f"{what} {name!r} is used twice")
            seen.add(name)

    def _literal(self, value: Any, where: Where) -> None:
        for path, rule, remedy, _ in check_literal(value, where):
            self._add(path, f"{rule}. {remedy}")

    def _check_kit(self, name: str, kit: Kit) -> None:
        here: Where = ("kits", name)
        known = [one.name for one in kit.services]
        self._once(known, (*here, "services"), "service")
        ports = [str(one.metrics_port or one.name) for one in kit.services]
        self._once(ports, (*here, "services"), "metrics_port")
        pages = [str(one.page_port) for one in kit.services if one.page_port]
        self._once([*set(ports), *pages], (*here, "services"), "page_port")
        used = {value for one in kit.services for value in values_used(list(one.written))}
        for value in kit.defaults:
            self._check_value(value, (*here, "defaults", value), name, used)
        self._literal(kit.defaults, (*here, "defaults"))
        for at, one in enumerate(kit.services):
            where = (*here, "services", at)
            self._literal(one.config, (*where, "config"))
            self._check_whole(one.config, (*where, "config"), used | {NODE})
            try:
                bus = needs_of(one.service).bus
            except ServiceError:
                self._add((*where, "service"), _unknown("service", one.service, known_services()))
                continue
            if one.page_port and not needs_of(one.service).page_setting:
                self._add((*where, "page_port"), f"{one.service} has no page: leave it out")
            if bus is None and one.device:
                self._add((*where, "device"), f"{one.name} has no device; {one.service} needs none")
            if one.devices and not needs_of(one.service).any_devices:
                self._add((*where, "devices"), f"{one.service} takes no list of devices: write device: /dev/…")
            if bus is not None and not one.device:
                self._add(where, f"{one.name} needs the {bus} device on the node: write device: /dev/…")
        for at, route in enumerate(kit.routes):
            for end in (route.source, route.to):
                if end not in known:
                    self._add((*here, "routes", at), _unknown("microservice", end, known))

    def _check_value(self, value: str, where: Where, kit: str, used: Iterable[str]) -> None:
        if value in _RESERVED or value.startswith(_RESERVED_BEGINNINGS):
            self._add(where, f"value {value!r} is reserved for manifests ($node is the node's name). Rename it")
        elif value not in used:
            self._add(
                where, f"value {value!r} is not used by kit {kit}. {did_you_mean(value, used)}".removesuffix(". ")
            )

    def _check_whole(self, config: Any, where: Where, names: set[str]) -> None:
        by_name = {name.casefold(): name for name in names}
        for path, text in texts(config, where):
            for word in text.split("$")[1:]:
                name = by_name.get(word.casefold())
                if name is not None and text != f"${name}":
                    self._add(path, f"{text!r}: ${name} is replaced as a whole value only, in lower case")

    def _check_node(self, node: Node, where: Where) -> None:
        kit = self._fleet.kits.get(node.kit)
        if kit is None:
            self._add((*where, "kit"), _unknown("kit", node.kit, self._fleet.kits))
            return
        used = {name for one in kit.services for name in values_used(list(one.written))}
        missing = sorted(used - set(kit.defaults) - set(node.values) - {NODE})
        for name in missing:
            self._add(where, f"a value for ${name} is missing; give it here or under the kit's defaults")
        for value in node.values:
            self._check_value(value, (*where, "values", value), node.kit, used)
        self._literal(node.values, (*where, "values"))
        if not missing and all(one.service in known_services() for one in kit.services):
            self._check_services(node, where)

    def _check_services(self, node: Node, where: Where) -> None:
        serial: set[str] = set()
        for at, placed in enumerate(on_node(self._fleet, node)):
            place: Where = ("kits", node.kit, "services", at)
            bus, name, device = placed.bus, placed.service.name, placed.device
            if bus is not None and placed.service.device:
                source = self._source(placed.service.device, (*place, "device"), node, where)
                if bus not in self._fleet.groups and bus not in node.groups:
                    remedy = f"stat -c %g {device} on the node"
                    self._add(where, f"group of {bus} devices is missing ({remedy})")
                if not device.startswith("/dev/") or ".." in device:
                    self._add(source, f"device {device!r} of {name} is not below /dev")
                elif bus_of_path(device) not in (None, bus):
                    needed = f"a {bus} device, which {placed.service.service} needs"
                    self._add(source, f"device {device} of {name} is not {needed}")
                if bus == "serial" and device in serial:
                    self._add(source, f"device {device} of {name} is another service's already: one can open it")
                serial.add(device)
            for number, device in enumerate(placed.devices):
                source = self._source(placed.service.devices[number], (*place, "devices", number), node, where)
                if not device.startswith("/dev/") or ".." in device:
                    self._add(source, f"device {device!r} of {name} is not below /dev")
                if bus_of_path(device) in ("serial", None) and device in serial:
                    self._add(source, f"device {device} of {name} is another service's already: one can open it")
                serial.add(device)
            self._check_settings(placed, place, node, where)

    def _check_settings(self, placed: Placed, place: Where, node: Node, where: Where) -> None:
        try:
            text = json.dumps(placed.settings("3.9"))
        except FleetError as error:
            self._add((*place, "config"), str(error))
            return
        for field, problem in _refused(placed.service.service, text):
            steps = tuple(int(one) if one.isdecimal() else one for one in _STEP.findall(field))
            source = self._source(_member(placed.service.config, steps), (*place, "config", *steps), node, where)
            self._add(source, f"{placed.service.name}: {problem}")

    def _source(self, written: Any, place: Where, node: Node, where: Where) -> Where:
        """Where a value of the kit comes from: the kit itself, its defaults, or the node."""
        name = next(iter(values_used(written)), None) if isinstance(written, str) else None
        if name in node.values:
            return (*where, "values", str(name))
        if name in self._fleet.kits[node.kit].defaults:
            return ("kits", node.kit, "defaults", str(name))
        return place


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    return f"there is no {what} {name!r}; there are {', '.join(known)}. {did_you_mean(name, known)}".removesuffix(
        ". "
    )


def _member(value: Any, steps: Where) -> Any:
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


@cache
def _refused(service: str, config: str) -> list[tuple[str, str]]:
    """Settings with which a service would not start, each with the reason."""
    return list(_settings_errors(service, json.loads(config)))


def _settings_errors(service: str, config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    service_type = service_type_of(service)
    left_out: set[str] = set()
    while True:
        try:
            sources = SettingsSources(service_type.settings_type, file=None, environment={})
            settings = sources.resolve(json.dumps(config))
            service_type(settings)
            if service_type.hosts_bridges:
                check_entries(settings)
        except SettingsError as error:
            name = next(iter(_STEP.findall(error.field)), "")
            if name not in left_out:
                yield error.field, str(error)
            if config.pop(name, None) is None:
                return  # it is not written, so nothing can be left out to see what else is wrong
            left_out.add(name)
        else:
            return
