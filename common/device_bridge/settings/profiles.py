"""Ready settings for known devices: TOML files in a service's folder `profiles`, which other settings then change."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from ..errors import SettingsError

_NAME = re.compile(r"[a-z0-9_]+")


def profile_names(package: str) -> list[str]:
    """The profiles a service comes with."""
    return sorted(file.stem for file in _folder(package).glob("*.toml"))


def read_profile(package: str, name: object) -> dict[str, Any]:
    """The settings of a profile; none for the name "". Raises SettingsError for an unknown name."""
    members = _members(package, name) if name else {}
    members.pop("about", None)
    return members


def about_profile(package: str, name: str) -> str:
    """What a profile is for, in one line."""
    return str(_members(package, name).get("about", ""))


def _members(package: str, name: object) -> dict[str, Any]:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name not in profile_names(package):
        from iofog_sdk import did_you_mean  # noqa: PLC0415 - needed to help once, not to run

        known = profile_names(package)
        remedy = f"{did_you_mean(str(name), known)} Write one of {', '.join(known)}, or leave it out.".lstrip()
        raise SettingsError("profile", name, "is no profile of this service", remedy)
    members: dict[str, Any] = msgspec.toml.decode((_folder(package) / f"{name}.toml").read_bytes())
    return members


def _folder(package: str) -> Path:
    # importlib.resources would do the same for packages in archives, and costs every service a megabyte.
    return Path(import_module(package).__path__[0]) / "profiles"
