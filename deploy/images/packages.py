"""Writes what each layer of an image is made of: packages.py WORKSPACE OUT, with uv on the path beside Python.

OUT/NAME holds `requirements.txt`, locked and with hashes, and `source`, packages of this project; a service's hold
only what the shared layer, `device_bridge`, has not. A project with services alone has that layer's packages as
wheels, from an index or from a folder, which is then OUT/wheels.
"""

import hashlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

SHARED = "device_bridge"
WHEELS = "wheels"
_NOT_IN_IMAGES = shutil.ignore_patterns(
    "README.md",
    "pyproject.toml",
    "deploy.toml",
    ".scaffold.json",
    "emulator.py",
    "emulated_*.py",
    "__pycache__",
    "*.png",
)
_MAIN = """from {0}.service import main

main()
"""


def locked(workspace: Path, package: str) -> tuple[list[str], list[str]]:
    """Requirements with their hashes, and folders of this workspace."""
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "export", "--quiet", "--locked", "--no-dev", "--no-header", "--no-annotate"]
    text = subprocess.run(
        [*command, "--package", package.replace("_", "-")], cwd=workspace, check=True, capture_output=True, text=True
    ).stdout
    lines = text.replace("\\\n", "").splitlines()
    folders = [line.removeprefix("-e").strip() for line in lines if line.startswith(("-e ", "./"))]
    return [hashed(line, workspace) for line in lines if line and not line.startswith(("-e ", "./", "#"))], folders


def hashed(line: str, workspace: Path) -> str:
    """A requirement with its hash, which uv.lock does not hold for wheels that come with the project."""
    name, _, version = line.split(";", maxsplit=1)[0].strip().partition("==")
    wheels = workspace.glob(f"{WHEELS}/{name.replace('-', '_')}-{version}-*.whl")
    hashes = [f" --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}" for wheel in wheels]
    return line + "".join(hashes) if "--hash=" not in line else line


def indexes(workspace: Path, out: Path) -> list[str]:
    """Where pip finds packages beside its usual index."""
    found = tomllib.loads((workspace / "pyproject.toml").read_text()).get("tool", {}).get("uv", {}).get("index", [])
    return [
        f"--find-links {out / WHEELS}" if each.get("format") == "flat" else f"--extra-index-url {each['url']}"
        for each in found
    ]


def write(
    workspace: Path,
    out: Path,
    layer: str,
    contents: tuple[list[str], list[str]],
    without: tuple[list[str], list[str]],
) -> None:
    requirements, folders = contents
    place = out / layer
    (place / "source").mkdir(parents=True)
    own = sorted(set(requirements) - set(without[0]))
    lines = [*indexes(workspace, out), *own] if own else []
    (place / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
    for folder in sorted(set(folders) - set(without[1])):
        shutil.copytree(workspace / folder, place / "source" / Path(folder).name, ignore=_NOT_IN_IMAGES)
    if layer != SHARED:
        (place / "source" / "__main__.py").write_text(_MAIN.format(layer))


def main() -> None:
    workspace, out = Path(sys.argv[1]), Path(sys.argv[2])
    wheels = workspace / WHEELS
    shutil.copytree(wheels, out / WHEELS) if wheels.exists() else (out / WHEELS).mkdir(parents=True)
    own = workspace / "common" / SHARED
    name = SHARED if own.exists() else tomllib.loads((workspace / "pyproject.toml").read_text())["project"]["name"]
    shared = locked(workspace, name)
    write(workspace, out, SHARED, shared, ([], []))
    for project in sorted(workspace.glob("services/*/pyproject.toml")):
        service = project.parent.name
        write(workspace, out, service, locked(workspace, service), shared)


if __name__ == "__main__":
    main()
