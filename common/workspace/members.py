"""The services of this project: found by their folders, and whether each is complete.

Uses the standard library alone and runs as a file, because the Makefile calls it before anything is installed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FILES = {
    "README.md": "Say what the device is, with the marks `<!-- quantities -->` and `<!-- settings -->` for tables",
    "deploy.toml": 'Write bus = "serial", "i2c" or "gpio" with device_setting, or folder, and an [example]',
    "__init__.py": "Make it, empty",
    "__main__.py": "Copy that of another service",
    "service.py": "It holds the service's class, and main()",
    "emulator.py": "Write the device in software; make demo needs it",
}
"""Files of every service, with a remedy each."""
_BUSES = {"serial": "serial", "i2c": "I2C", "gpio": "GPIO"}
_TABLE = re.compile(r"(?<=<!-- services -->\n).*?(?=<!-- end -->)", re.DOTALL)


def service_names(root: Path) -> list[str]:
    """Names of the services below `root`: their folders in services/."""
    return sorted(file.parent.name for file in root.glob("services/*/pyproject.toml"))


def problems(root: Path, *, locked: bool = True) -> Iterator[str]:
    """Mistakes that keep the project from being built, a line each: file, mistake, remedy.

    Parameters:
        root: top folder of the project.
        locked: whether uv.lock must match.
    """
    names: dict[str, Path] = {}
    for folder in sorted(path for path in root.glob("services/*") if path.is_dir()):
        if not (folder / "pyproject.toml").exists() and any(folder.glob("*.*")):
            yield f"services/{folder.name} has no pyproject.toml. Copy that of another service and change its names"
    for file in sorted(root.glob("common/*/pyproject.toml")) + sorted(root.glob("services/*/pyproject.toml")):
        path = file.relative_to(root)
        try:
            project = _load(file)
        except tomllib.TOMLDecodeError as error:
            yield f"{path}: {error}"
            continue
        if path.parts[0] == "services":
            yield from _problems_of(file.parent, path, project)
        name = project.get("project", {}).get("name", "")
        if name in names:
            yield f'{path}: name = "{name}" is already the name of {names[name]}. Write another'
        names.setdefault(name, path)
    if locked:
        top = root / "pyproject.toml"
        if name := top.exists() and _load(top).get("project", {}).get("name"):
            names[name] = Path(top.name)
        members = set(_load(root / "uv.lock").get("manifest", {}).get("members", ()))
        if wrong := sorted(set(names) ^ members):
            verb = "does not have" if wrong[0] in names else "still has"
            yield f"uv.lock {verb} {wrong[0]}. Run: make lock"


def _problems_of(folder: Path, path: Path, project: dict[str, Any]) -> Iterator[str]:
    service = folder.name
    if not service.isidentifier() or not service.islower():
        better = re.sub(r"\W", "_", service).lower()
        yield f"services/{service} is not a name for a Python package. Rename the folder, for example to {better}"
        return
    for file, remedy in _FILES.items():
        if not (folder / file).exists():
            yield f"services/{service} has no {file}. {remedy}"
    name = service.replace("_", "-")
    table = project.get("project", {})
    if table.get("name") != name:
        yield f'{path}: name = "{table.get("name", "")}" is not that of its folder. Write name = "{name}"'
    if table.get("scripts") != {name: f"{service}.service:main"}:
        yield f'{path}: [project.scripts] is not that of its folder. Write {name} = "{service}.service:main"'
    wheel = project.get("tool", {}).get("hatch", {}).get("build", {}).get("targets", {}).get("wheel", {})
    if wheel.get("sources") != {"": service}:
        yield f'{path}: sources of the wheel are not those of its folder. Write sources = {{ "" = "{service}" }}'


def notes(root: Path) -> Iterator[str]:
    """What a copied service still lacks, though it can be built and run."""
    services = service_names(root)
    tests = "".join(file.read_text() for file in root.glob("tests/services/*.py"))
    for service in services:
        folder = root / "services" / service
        if not re.search(rf"\b{service}\b", tests):
            yield f"services/{service}: no test names it. Write tests/services/test_{service}.py"
        used = {re.split(r"[^a-z0-9-]", text)[0].replace("-", "_") for text in _dependencies(folder)}
        yield from _names_of_others(folder, [other for other in services if other not in {service, *used}])
        title = (folder / "README.md").read_text().split("\n", 1)[0]
        if title != f"# {service}":
            yield f"services/{service}/README.md: its title is {title!r}, not '# {service}'"
    for what, file, of in (
        ("description", "pyproject.toml", description_of),
        ("example's name", "deploy.toml", lambda folder: _load(folder / "deploy.toml")["example"]["name"]),
    ):
        first: dict[str, str] = {}
        for service in services:
            text = of(root / "services" / service)
            if text in first:
                yield f"services/{service}/{file}: its {what} is that of {first[text]}"
            first.setdefault(text, service)


def _names_of_others(folder: Path, others: list[str]) -> Iterator[str]:
    quoted = re.compile(rf'"({"|".join(others)})["./]')
    for file in sorted(folder.rglob("*.py")) if others else ():
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if found := quoted.search(line):
                yield f"services/{folder.name}/{file.relative_to(folder)}:{number}: names {found[1]}, another service"


def with_services(root: Path, text: str) -> str:
    """The text of the top README with the table of services as their folders have it.

    A row is made of the description in pyproject.toml and the bus in deploy.toml.
    """
    rows = ["| service | device | bus |", "|---|---|---|"]
    for service in service_names(root):
        folder = root / "services" / service
        needs = _load(folder / "deploy.toml")
        named = "any" if needs.get("any_devices") else "network"
        bus = needs.get("folder") or _BUSES.get(needs.get("bus", ""), named)
        rows.append(f"| [{service}](services/{service}/README.md) | {description_of(folder)} | {bus} |")
    table = "\n".join(rows) + "\n"
    return _TABLE.sub(lambda _: table, text)


def description_of(folder: Path) -> str:
    """What a service is for, as its pyproject.toml says it."""
    return str(_load(folder / "pyproject.toml").get("project", {}).get("description", ""))


def _dependencies(folder: Path) -> list[str]:
    return list(_load(folder / "pyproject.toml").get("project", {}).get("dependencies", []))


def _load(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text())


if __name__ == "__main__":
    found = list(problems(Path(), locked="--before-lock" not in sys.argv))
    sys.stderr.writelines(f"{line}\n" for line in found)
    sys.exit(1 if found else 0)
