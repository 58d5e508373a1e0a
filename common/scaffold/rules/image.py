"""What can be known of a service's image without building it: what it imports is there, on each architecture."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from .target import Target

_NOT_IN_IMAGES = re.compile(r"emulator\.py|emulated_.*\.py")  # as deploy/images/packages.py has it
_ARCHITECTURES = ("x86_64", "aarch64", "armv7l")
_PYTHON = re.compile(r"-(cp313-cp313|cp3\d+-abi3|py3-none|py2\.py3-none)-")
_COMPILED_HERE = {"msgspec"}
"""Without a wheel for 32-bit ARM; deploy/images/install.py compiles it."""


def image(target: Target) -> Iterator[str]:
    """Imports that an image does not have, and dependencies without a wheel for one of its architectures."""
    packages = _closure(target.name.replace("_", "-"))
    modules = _owners()
    for file in sorted(target.folder.rglob("*.py")):
        if _NOT_IN_IMAGES.fullmatch(file.name):
            continue
        for line, name in _imports(file):
            owners = {
                _normal(owner) for owner in (*modules.get(name, ()), name)
            }  # installed from its folder: no list
            if name not in sys.stdlib_module_names and name != target.name and not owners & packages:
                where = f"{file.relative_to(target.root)}:{line}"
                yield f"{where}: {name} is not in its image; write its package into dependencies of pyproject.toml"
    for name, wheels in _locked(target.root):
        if name in packages - _COMPILED_HERE:
            yield from (
                f"{name} has no wheel for {each}, CPython 3.13" for each in _ARCHITECTURES if not _fits(wheels, each)
            )


@cache
def _owners() -> Mapping[str, list[str]]:
    """Distributions by the modules that they have."""
    return metadata.packages_distributions()


def _closure(package: str) -> set[str]:
    """A distribution and everything that it depends on without extras."""
    found, waiting = set[str](), [package]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            requirements = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:
            continue  # for another platform
        waiting += [
            _normal(re.split(r"[^\w.-]", each, maxsplit=1)[0]) for each in requirements if "extra ==" not in each
        ]
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        yield from ((getattr(node, "lineno", 0), name.partition(".")[0]) for name in names)


def _locked(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Packages of uv.lock that come as wheels, and the files' names."""
    lock: dict[str, Any] = tomllib.loads((root / "uv.lock").read_text())
    for package in lock.get("package", ()):
        wheels = [
            str(wheel.get("url") or wheel.get("path")).rpartition("/")[2] for wheel in package.get("wheels", ())
        ]
        if wheels:
            yield package["name"], wheels


def _fits(wheels: list[str], architecture: str) -> bool:
    return any(_PYTHON.search(wheel) and wheel.endswith(("-any.whl", f"{architecture}.whl")) for wheel in wheels)
