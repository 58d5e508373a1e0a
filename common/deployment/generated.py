"""Every file and table that is generated from the services: written by `make docs`, compared by `make static`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from device_bridge.cli import with_diagrams, with_tables
from workspace.images import files_to_copy
from workspace.members import service_names, with_services
from workspace.services import service_type_of

from .fleets.samples import samples

_SOURCE = re.compile(r"^# Written by `make docs` from services/(\w+)/deploy.toml\.$", re.MULTILINE)


def generated(root: Path) -> Iterator[tuple[Path, str]]:
    """Generated files below `root`: path and text."""
    services = service_names(root)
    for name, text in files_to_copy().items():
        yield root / name, text
    for name, text in samples(services):
        yield root / "deploy" / name, text
    for service in services:
        file = root / "services" / service / "README.md"
        yield file, with_tables(service_type_of(service), file.read_text())
    file = root / "common/device_bridge/README.md"
    if file.exists():  # a project outside has services alone
        yield file, with_diagrams(file.read_text())
    yield root / "README.md", with_services(root, (root / "README.md").read_text())


def outdated(root: Path) -> Iterator[Path]:
    """Generated files that are out of date, and manifests of services that are gone."""
    for file, text in generated(root):
        if not file.exists() or file.read_text() != text:
            yield file
    yield from _left_over(root)


def write_generated(root: Path) -> None:
    """Writes all generated files."""
    for file, text in generated(root):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for file in _left_over(root):
        file.unlink()


def _left_over(root: Path) -> list[Path]:
    services = service_names(root)
    files = sorted(root.glob("deploy/**/*.yaml"))
    sources = ((file, _SOURCE.search(file.read_text())) for file in files)
    return [file for file, source in sources if source and source[1] not in services]
