"""Rules on what a service declares: its class, quantities, commands, settings and manifests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from device_bridge import BridgeError
from device_bridge.cli import with_tables
from device_bridge.settings import SettingsSources
from workspace.services import ServiceError

from .senml_units import UNITS
from .target import Target


def contract(target: Target) -> Iterator[str]:
    """A class that the runtime refuses, or that says nothing about its device."""
    try:
        target.service_type.check_contract()
    except (BridgeError, ServiceError, ImportError) as error:
        yield f"{type(error).__name__}: {error}"
        return
    if not (target.service_type.__doc__ or "").strip():
        yield f"{target.service_type.__name__} has no docstring: --help and the README need one line about the device"


def units(target: Target) -> Iterator[str]:
    """Units that no receiver knows."""
    for quantity in target.service_type.quantities:
        if quantity.unit and quantity.unit not in UNITS:
            yield f"quantity {quantity.name}: {quantity.unit!r} is not in the SenML registry (RFC 8428, RFC 8798)"


def ranges(target: Target) -> Iterator[str]:
    """Numbers that nothing can be held against."""
    for quantity in target.service_type.quantities:
        if quantity.unit not in ("", "count") and quantity.valid is None:
            yield f"quantity {quantity.name} has no range: a value that cannot be goes out as good"


def described(target: Target) -> Iterator[str]:
    """Quantities, commands and settings of its own without a word of what they mean."""
    service = target.service_type
    for quantity in service.quantities:
        if not quantity.description:
            yield f"quantity {quantity.name} has no description"
    for command in service.commands:
        if not command.description:
            yield f"command {command.name} has no description"


def current(target: Target) -> Iterator[str]:
    """Tables of the README that are not what the code says."""
    text = target.text("README.md")
    for mark in ("settings", "quantities", "commands"):
        wanted = mark == "settings" or bool(getattr(target.service_type, mark))
        if wanted and f"<!-- {mark} -->" not in text:
            yield f"README.md has no table of {mark}: write <!-- {mark} --> and <!-- end -->, then run: make docs"
    if with_tables(target.service_type, text) != text:
        yield "README.md is not up to date. Run: make docs"


def example(target: Target) -> Iterator[str]:
    """An example in deploy.toml that the service refuses."""
    config: dict[str, Any] = json.loads(json.dumps(target.needs.example.config))
    if setting := target.needs.device_setting:
        *path, last = setting.split(".")
        place = config
        for part in path:
            place = place.setdefault(part, {})
        place[last] = target.needs.example.device
    try:
        sources = SettingsSources(target.service_type.settings_type, file=None, environment={})
        target.service_type.check_settings(sources.resolve(json.dumps(config)))
    except (BridgeError, msgspec.MsgspecError) as error:
        yield f"deploy.toml: its example cannot be used: {error}"


def manifests(target: Target) -> Iterator[str]:
    """Example manifests that are missing or wrong."""
    from deployment.documents import load  # noqa: PLC0415 - YAML, which only this rule needs
    from deployment.generations import GENERATIONS  # noqa: PLC0415
    from deployment.manifests import check_documents  # noqa: PLC0415

    for generation in GENERATIONS.values():
        folder = target.root / "deploy" / generation.folder
        files = [folder / f"{target.name}.yaml"]
        if not files[0].exists():
            yield f"deploy/{generation.folder}/{target.name}.yaml is missing. Run: make docs"
            continue
        for finding in check_documents([each for file in files for each in load(file)], generation):
            if not finding.warning:
                yield str(finding)


def settings_described(target: Target) -> Iterator[str]:
    """Settings without a word of what they mean."""
    for row in with_tables(target.service_type, "<!-- settings -->\n<!-- end -->").splitlines():
        if row.startswith("| `") and row.endswith("|  |"):
            yield f"setting {row.split('`')[1]} has no description: write Annotated[..., Meta(description=...)]"
