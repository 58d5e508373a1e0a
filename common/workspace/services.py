"""What a container of each service needs, as the service's own `deploy.toml` says it."""

from __future__ import annotations

import inspect
import re
import tomllib
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from device_bridge import DeviceService
from device_bridge.settings import explained
from iofog_sdk import did_you_mean

from .members import service_names

Bus = Literal["serial", "i2c", "gpio"]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z]([a-z0-9-]{0,40}[a-z0-9])?$",
        extra_json_schema={"remedy": "Write lower-case letters, digits and hyphens, 42 at most, a letter first."},
    ),
]
PublishedPort = Annotated[int, Meta(ge=1, le=65_535)]

STATE = "/var/lib/bridge"
"""The folder of a container that its service keeps state in."""
_BUS_OF_PATH: dict[str, Bus] = {r"/dev/(tty|serial/|rfcomm)": "serial", r"/dev/i2c-": "i2c", r"/dev/gpiochip": "gpio"}
_IMAGE = re.compile(r"(?:.*/)?([a-z][a-z0-9_]*)(?::[^/]*)?(?:@.*)?")


class ServiceError(Exception):
    """A service that this project does not have, or that is not complete."""


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that is read from a file, with no fields but its own."""


class Example(Model, frozen=True, kw_only=True):
    """A service as the manifests in `deploy/` show it.

    Parameters:
        name: of the microservice.
        device: on the node, "" for a service without one.
        devices: on the node, of a service that takes any.
        config: its settings.
        page_port: of the node, where its page is published.
    """

    name: Name
    device: str = ""
    devices: tuple[str, ...] = ()
    config: dict[str, Any] = {}
    page_port: PublishedPort | None = None


class Needs(Model, frozen=True, kw_only=True):
    """What a container of a service needs.

    Parameters:
        bus: kind of its device; None for a service without one, or with several.
        any_devices: whether it takes any number of devices of any kind, which its settings name as the node does.
        folder: of the node that it reads, bound read-only where agents do that; "" for none.
        device_setting: where its settings name the device, "" where they do not.
        position_setting: member of its settings by which it reports the node's position, "" without one.
        receives: whether it wants the readings of its application, where no routes bring them.
        page_setting: member of its settings with `host` and `port` of a page for people, "" without one.
        demo_with: services that a demo runs beside it, for something to receive.
        example: for `deploy/`.
    """

    bus: Bus | None = None
    folder: Annotated[str, Meta(pattern=r"^(/[\w.-]+)*$")] = ""
    any_devices: bool = False
    device_setting: str = ""
    position_setting: str = ""
    receives: bool = False
    page_setting: str = ""
    demo_with: tuple[str, ...] = ()
    example: Example


def known_services() -> list[str]:
    """Names of the services of the project in whose top folder this runs."""
    return service_names(Path())


def unknown_service(name: str) -> str:
    """What is said of a service that the project does not have."""
    known = known_services()
    return f"SERVICE={name}: there is no such service. {did_you_mean(name, known)}".rstrip() + (
        f" There are {', '.join(known)}"
    )


@cache
def needs_of(service: str) -> Needs:
    """What a service needs. Raises ServiceError for one that this project does not have."""
    spec = find_spec(service) if service.isidentifier() else None
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        file = Path(folder, "deploy.toml")
        if file.exists():
            return _read(file)
    raise ServiceError(f"there is no service {service!r}: its folder needs a deploy.toml")


def _read(file: Path) -> Needs:
    """A service's deploy.toml. Raises ServiceError, naming file, line and remedy."""
    place = f"services/{file.parent.name}/{file.name}"
    text = file.read_text()
    try:
        members = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ServiceError(f"{place}: {error}. Write TOML, as another service's {file.name} has it") from None
    try:
        return msgspec.convert(members, Needs)
    except msgspec.ValidationError as error:
        wrong = explained(error, Needs, members, [(place, members)])
        raise ServiceError(
            f"{place}:{_line_of(text, wrong.field)}: {wrong.field}: {wrong.rule}. {wrong.remedy}"
        ) from None


def _line_of(text: str, path: str) -> int:
    """The line where a member stands, or where its table begins; the last one for what is not there."""
    table, _, name = path.rpartition(".")
    inside, found = not table, 0
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if title := re.match(r"\s*\[+\s*([\w.]+)", line):
            inside = title[1] == table
            found = number if inside else found
        if re.match(rf"\s*{re.escape(name)}\s*=", line) and inside:
            return number
    return found or len(lines)


@cache
def service_type_of(service: str) -> type[DeviceService[Any]]:
    """The class in a service's `service.py`. Raises ServiceError where there is none."""
    module = import_module(f"{service}.service")
    for _, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, DeviceService) and found.__module__ == module.__name__:
            return found
    raise ServiceError(f"service {service!r} has no DeviceService in its service.py")


def service_of_image(reference: Any) -> str | None:
    """The service that an image holds, by its name; None for an image that is not of this project."""
    match = _IMAGE.fullmatch(reference) if isinstance(reference, str) else None
    try:
        return match[1] if match and needs_of(match[1]) else None
    except ServiceError:
        return None


def bus_of_path(device: str) -> Bus | None:
    """The kind of a device by its usual name; None for one that a udev rule has named."""
    return next((bus for pattern, bus in _BUS_OF_PATH.items() if re.match(pattern, device)), None)
