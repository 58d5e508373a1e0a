"""What schemas cannot say of a microservice: small rules, each with the generations that it is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from workspace.services import STATE, Bus, bus_of_path, needs_of, service_of_image

from ..documents import Document, Where
from ..generations import GENERATIONS, Generation
from .problems import Problem
from .templates import check_quotes, is_placeholder, texts

_DEVICE = re.compile(r"/dev/(?!shm\b|null$|zero$|full$|u?random$)[\w./:+-]+")
_ROOT = ("0", "root")


@dataclass(frozen=True)
class Microservice:
    """A microservice, wherever it is written.

    Parameters:
        document: it is written in, or the application that a template makes it for.
        where: it is written there.
        name: with its application: `application/name`.
        node: that it runs on, "" where that is not known.
        content: its fields.
        made: whether a template makes it.
    """

    document: Document
    where: Where
    name: str
    node: str
    content: dict[str, Any]
    made: bool = False

    @property
    def container(self) -> dict[str, Any]:
        """Its container's fields."""
        found = self.content.get("container")
        return found if isinstance(found, dict) else {}

    @property
    def service(self) -> str | None:
        """Which of this project's services its image holds, if it does."""
        images = self.content.get("images")
        references = [*images.values()] if isinstance(images, dict) else [self.content.get("image")]
        return next(filter(None, map(service_of_image, references)), None)

    @property
    def bus(self) -> Bus | None:
        """The kind of device that its service needs, if it is of this project."""
        return needs_of(self.service).bus if self.service else None

    @property
    def is_privileged(self) -> bool:
        """Whether its container may open every device of the node."""
        return bool(self.container.get("isPrivileged") or self.container.get("rootHostAccess"))

    def mappings(self, key: str) -> list[dict[str, Any]]:
        """A list of the container's; what is not a mapping counts as an empty one."""
        return [item if isinstance(item, dict) else {} for item in self.items(key)]

    def items(self, key: str) -> list[Any]:
        """A list of the container's."""
        found = self.container.get(key)
        return found if isinstance(found, list) else []

    def at(self, *steps: str | int) -> Where:
        """Where a part of it is written."""
        return self.where if self.made else (*self.where, *steps)

    def devices_named(self) -> set[str]:
        """Devices that its settings, variables and commands name."""
        named = [text for _, text in texts(self.content.get("config"), ())]
        named += [value for one in self.mappings("env") if isinstance(value := one.get("value"), str)]
        named += [word.rpartition("=")[2] for word in self.items("commands") if isinstance(word, str)]
        return {text for text in named if _DEVICE.fullmatch(text)}


Rule: TypeAlias = "Callable[[Microservice, Generation], Iterator[Problem]]"
RULES: list[tuple[Rule, tuple[str, ...]]] = []


def rule(*generations: str) -> Callable[[Rule], Rule]:
    """Marks a rule with the generations that it is for."""

    def add(check: Rule) -> Rule:
        RULES.append((check, generations))
        return check

    return add


def check_microservice(microservice: Microservice, generation: Generation) -> Iterator[Problem]:
    """Every rule of the generation."""
    for check, generations in RULES:
        if generation.name in generations:
            yield from check(microservice, generation)


_ALL = tuple(GENERATIONS)
_CONTROLLERS = ("3.0", "3.6", "3.7", "3.8", "3.9")
_BY_CDI = ("3.6", "3.7", "3.8", "3.9", "edgelet-1.0", "edgelet-1.1")
_READ_ONLY = ("3.8", "3.9", "edgelet-1.0", "edgelet-1.1")
_NEWEST = ("3.9", "edgelet-1.1")


@rule(*_CONTROLLERS)
def no_double_quotes(one: Microservice, _: Generation) -> Iterator[Problem]:
    """A Controller un-escapes them in settings."""
    for problem in check_quotes(one.content.get("config", {}), one.at("config")):
        yield problem._replace(where=one.where) if one.made else problem


@rule("3.0")
def way_in_by_root_host_access(one: Microservice, _: Generation) -> Iterator[Problem]:
    """A container without it is privileged, and so has the node's devices, once the node knows its address."""
    for device in sorted(one.devices_named()):
        if not one.container.get("rootHostAccess") and not _is_mounted(one, device):
            remedy = "Write rootHostAccess: true, and a volume of /dev if it can be replugged."
            problem = f"{device} has no way into the container while the node does not know its address"
            yield Problem(one.at("container"), problem, remedy, warning=True)


@rule(*_BY_CDI)
def way_in(one: Microservice, generation: Generation) -> Iterator[Problem]:
    """The device cgroup refuses what is only mounted."""
    given = {str(device.get("containerPath")) for device in one.mappings("devices")}
    for at, volume in enumerate(one.mappings("volumes")):
        source = str(volume.get("hostDestination", ""))
        if _DEVICE.fullmatch(source) and not one.is_privileged:
            problem = f"{source} as a volume cannot be opened (EPERM, the device cgroup)"
            yield Problem(one.at("container", "volumes", at), problem, _way(generation))
            given.add(str(volume.get("containerDestination")))
    if one.items("cdiDevices"):
        return  # the CDI file says what they are called
    for device in sorted(one.devices_named() - given):
        if not (one.is_privileged and _is_mounted(one, device)):
            yield Problem(one.at("container"), f"{device} has no way into the container", _way(generation))


@rule(*_BY_CDI)
def privileged_beside_devices(one: Microservice, _: Generation) -> Iterator[Problem]:
    """Whoever lists devices wants no others."""
    for key in ("devices", "cdiDevices"):
        if one.items(key) and one.is_privileged:
            problem = f"isPrivileged: true opens every device of the node, whatever {key} lists"
            yield Problem(one.at("container", "isPrivileged"), problem, "Write isPrivileged: false.", warning=True)


@rule(*_BY_CDI)
def group_that_opens(one: Microservice, generation: Generation) -> Iterator[Problem]:
    """No generation adds groups: who is not root needs the group that owns the device."""
    given = ("devices", "cdiDevices") if generation.has_devices else ("cdiDevices",)
    key = next((key for key in given if one.items(key)), None)
    user = str(one.container.get("runAsUser", ""))
    if key is None or one.is_privileged or user in _ROOT or is_placeholder(user):
        return
    if ":" not in user and "runAsGroup" not in one.container:
        group = "runAsGroup" if generation.has_devices else 'runAsUser: "USER:GROUP"'
        remedy = f"Write {group} with the gid that owns the device on the node (stat -c %g)."
        known = key == "devices" and bool(user or one.service)
        problem = f"{key}, and no group that may open them (EACCES)"
        yield Problem(one.at("container", key), problem, remedy, warning=not known)


@rule(*_ALL)
def kind_of_device(one: Microservice, _: Generation) -> Iterator[Problem]:
    """A service of this project on a device that it cannot speak to."""
    if (bus := one.bus) is None:
        return
    given = [("devices", str(device.get("hostPath", ""))) for device in one.mappings("devices")]
    given += [("config", device) for device in one.devices_named()] if not given else []
    for key, device in given:
        if bus_of_path(device) not in (None, bus):
            problem = f"{device} is not a {bus} device, which {one.service} needs"
            yield Problem(one.at(*(("container", key) if key == "devices" else (key,))), problem, "Name another.")


@rule(*_READ_ONLY)
def folder_read_only(one: Microservice, _: Generation) -> Iterator[Problem]:
    """A service that reads a folder of the node needs it, and needs not change it."""
    folder = needs_of(one.service).folder if one.service else ""
    bound = [(at, each) for at, each in enumerate(one.mappings("volumes")) if each.get("hostDestination") == folder]
    if folder and not bound:
        remedy = f"Write a volume of type bind from {folder} to {folder}, with accessMode: ro."
        yield Problem(one.at("container"), f"{one.service} reads {folder} of the node, and has no way to it", remedy)
    for at, volume in bound:
        if folder and volume.get("accessMode") != "ro":
            problem = f"{folder} of the node can be written to"
            remedy = "Write accessMode: ro; bind what is to be written by itself."
            yield Problem(one.at("container", "volumes", at), problem, remedy, warning=True)


@rule(*_NEWEST)
def limits_in_order(one: Microservice, _: Generation) -> Iterator[Problem]:
    """Soft limits above hard ones are refused; -1 is no limit."""
    ulimits = one.container.get("ulimits")
    for name, limit in ulimits.items() if isinstance(ulimits, dict) else ():
        soft, hard = (limit.get("soft"), limit.get("hard")) if isinstance(limit, dict) else (None, None)
        if isinstance(soft, int) and isinstance(hard, int) and hard != -1 and (soft == -1 or soft > hard):
            problem = f"ulimit {name}: soft {soft} is above hard {hard}, which is refused"
            yield Problem(one.at("container", "ulimits", name), problem, "Lower soft, or raise hard.")


@rule(*_NEWEST)
def state_that_stays(one: Microservice, _: Generation) -> Iterator[Problem]:
    """A private volume belongs to the microservice's UUID, and a microservice that is made again has a new one."""
    for at, volume in enumerate(one.mappings("volumes")):
        is_state = volume.get("containerDestination") == STATE and str(volume.get("type", "")).lower() == "volume"
        if one.service and is_state and volume.get("scope") != "shared":
            problem = "state is lost when the microservice is made again"
            yield Problem(one.at("container", "volumes", at), problem, "Write scope: shared.", warning=True)


@rule("edgelet-1.0", "edgelet-1.1")
def link_of_its_own(one: Microservice, _: Generation) -> Iterator[Problem]:
    """Edgelet alone carries no messages."""
    if one.service and not any(variable.get("key") == "IOFOG_LINK" for variable in one.mappings("env")):
        remedy = "Write it in env, as mqtt://broker.example.com."
        yield Problem(one.at("container"), "no IOFOG_LINK, and Edgelet alone carries no messages", remedy)


def _is_mounted(one: Microservice, device: str) -> bool:
    folders = (str(volume.get("containerDestination", "")) for volume in one.mappings("volumes"))
    return any(device == folder or device.startswith(folder.rstrip("/") + "/") for folder in folders if folder)


def _way(generation: Generation) -> str:
    if generation.has_devices:
        return "Write devices: [{hostPath: …, containerPath: …, permissions: rw}]."
    return "Write cdiDevices, with a CDI file on the node; or isPrivileged: true and a volume of /dev."
