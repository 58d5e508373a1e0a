"""What rules look at: one service, its class, its files and the tests that name it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from device_bridge import DeviceService
from workspace.services import Needs, needs_of, service_type_of


@dataclass(frozen=True)
class Target:
    """A service of the project at `root`."""

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        """Its own."""
        return self.root / "services" / self.name

    @cached_property
    def service_type(self) -> type[DeviceService[Any]]:
        """Its class. Raises what importing it raises."""
        return service_type_of(self.name)

    @cached_property
    def needs(self) -> Needs:
        """Its deploy.toml. Raises ServiceError, or msgspec's error for a wrong one."""
        return needs_of(self.name)

    def text(self, name: str) -> str:
        """A file of its folder, "" when it is missing."""
        file = self.folder / name
        return file.read_text() if file.exists() else ""

    def tests(self, *folders: str) -> str:
        """The text of all tests in these folders of tests/ that name it."""
        files = (file for folder in folders for file in sorted((self.root / "tests" / folder).glob("*.py")))
        texts = (file.read_text() for file in files)
        return "\n".join(text for text in texts if re.search(rf"\b{self.name}\b", text))


def target_of(root: Path, name: str) -> Target:
    """The service `name` of the project at `root`."""
    return Target(root, name)
