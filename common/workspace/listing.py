"""What this project has, a line each: services, their profiles, their commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from device_bridge.settings import about_profile, profile_names

from .members import description_of, service_names
from .services import service_type_of


def listing(root: Path) -> Iterator[str]:
    """The lines."""
    for service in service_names(root):
        yield f"{service:<18}  {description_of(root / 'services' / service)}"
        kind = service_type_of(service)
        yield from (_line("profile", name, about_profile(service, name)) for name in profile_names(service))
        yield from (_line("command", each.name, each.description) for each in kind.commands)


def _line(what: str, name: str, about: str) -> str:
    return f"  {what} {name:<18}  {about}".rstrip()
