"""One entry of the settings of several services: which service it is, and that service's settings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from ..errors import SettingsError
from ..service import DeviceService
from ..service_settings import ServiceSettings
from ..settings.base import Settings
from ..settings.sources import SettingsSources
from .gateway_settings import GatewaySettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")
_OF_PROCESS = ("http", "outbox", "log_level", "trust_clock")
_INHERITED = (*_OF_PROCESS, "announce", "stale_after")


class BridgeSettings(Settings, frozen=True, kw_only=True):
    """One service among several."""

    service: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$", max_length=100, description="the service to run")]
    enabled: Annotated[bool, Meta(description="false: its device is closed, and nothing is read")] = True
    max_rate: Annotated[
        float,
        Meta(
            gt=0,
            le=100_000,
            description="messages a second; of what comes faster only the latest of each quantity is sent, "
            "the rest is counted as dropped",
        ),
    ] = 500.0
    settings: Annotated[dict[str, Any], Meta(description="settings of the service")] = {}


class Entry(NamedTuple):
    """An entry that could be read.

    Parameters:
        bridge: what it says.
        service_type: the service's class.
        config: the service's settings as JSON, those of the process among them.
    """

    bridge: BridgeSettings
    service_type: type[DeviceService[Any]]
    config: str


def path_of(name: str) -> str:
    """Where the entry of this name is in the settings."""
    return f"bridges.{name}"


def read_entry(name: str, gateway: GatewaySettings) -> Entry:
    """What the entry of this name says. Raises SettingsError."""
    path = path_of(name)
    sources = SettingsSources(BridgeSettings, file=None, environment={}, config_name="")
    if not _NAME.fullmatch(name):
        remedy = "Write letters, digits, `_` and `-`, 50 at most, a letter or digit first."
        raise SettingsError(path, None, "is no name of a bridge", remedy)
    if not isinstance(gateway.bridges[name], dict):
        raise SettingsError(path, gateway.bridges[name], "is no object", "Write its `service` and `settings`.")
    try:
        bridge: BridgeSettings = sources.resolve(msgspec.json.encode(gateway.bridges[name]).decode())
        service_type = service_type_of(bridge.service)
        if service_type.hosts_bridges:
            remedy = "Name the services that it would run."
            raise SettingsError("service", bridge.service, "runs other services itself", remedy)
        for member in _OF_PROCESS:
            if member in bridge.settings:
                remedy = "Write it beside `bridges`, for all of them."
                raise SettingsError(f"settings.{member}", None, "belongs to the process", remedy)
        _check_source(name, gateway)
    except SettingsError as error:
        raise error.within(path) from None
    inherited = {member: msgspec.to_builtins(getattr(gateway, member)) for member in _INHERITED}
    return Entry(bridge, service_type, msgspec.json.encode(inherited | bridge.settings).decode())


def _check_source(name: str, gateway: GatewaySettings) -> None:
    """Raises SettingsError when a bridge before this one sends its readings under the same name."""
    source = _source_of(name, gateway)
    for other in gateway.bridges:
        if other == name:
            return
        if source and _source_of(other, gateway) == source:
            remedy = "Give each device a source of its own: receivers tell them apart by it."
            raise SettingsError("settings.source", source, f"is that of bridge {other}", remedy)


def _source_of(name: str, gateway: GatewaySettings) -> str:
    """What the readings of a bridge are named by; "" for one that does not run."""
    entry = gateway.bridges[name]
    if not isinstance(entry, dict) or entry.get("enabled") is False:
        return ""
    settings = entry.get("settings")
    source = settings.get("source") if isinstance(settings, dict) else None
    return (source if isinstance(source, str) and source else name).rstrip(":/.")


def service_type_of(service: str) -> type[DeviceService[Any]]:
    """The class of an installed service. Raises SettingsError where there is none."""
    remedy = "Name a service that is installed here."
    spec = PathFinder.find_spec(service)  # imports nothing, whatever the name
    if spec is None or not any(
        Path(folder, "service.py").exists() for folder in spec.submodule_search_locations or ()
    ):
        raise SettingsError("service", service, "is no service of this installation", remedy)
    try:
        module = import_module(f"{service}.service")
    except Exception as error:  # whatever a module does when it is imported
        raise SettingsError("service", service, f"cannot be loaded: {error}", remedy) from None
    for _, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, DeviceService) and found.__module__ == module.__name__:
            return found
    raise SettingsError("service", service, "has no DeviceService in its service.py", remedy)


def check_entries(gateway: GatewaySettings) -> Mapping[str, tuple[type[DeviceService[Any]], ServiceSettings]]:
    """The services with their settings, by name. Raises SettingsError for the first that cannot be used.

    What one bridge alone can open is not another's: a serial port that both are to have is found here, before one of
    them finds it busy.
    """
    checked = {name: check_entry(name, gateway) for name in gateway.bridges}
    ports: dict[str, str] = {}
    for name, (_, settings) in checked.items():
        port = getattr(getattr(settings, "serial", None), "port", "")
        if port and (other := ports.setdefault(port, name)) != name:
            field = f"{path_of(name)}.settings.serial.port"
            raise SettingsError(field, port, f"is opened by bridge {other}", "A serial port is for one bridge.")
    return checked


def check_entry(name: str, gateway: GatewaySettings) -> tuple[type[DeviceService[Any]], ServiceSettings]:
    """The service of one entry and its settings. Raises SettingsError."""
    entry = read_entry(name, gateway)
    sources = SettingsSources(entry.service_type.settings_type, file=None, environment={}, config_name="")
    try:
        settings: ServiceSettings = sources.resolve(entry.config)
        entry.service_type.check_settings(settings)
    except SettingsError as error:
        raise error.within(f"{path_of(name)}.settings") from None
    return entry.service_type, settings
