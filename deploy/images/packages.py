"""Writes what each layer of an image is made of: packages.py WORKSPACE OUT, with uv on the path beside Python.

OUT/NAME holds `requirements.txt`, locked and with hashes, and `source`, packages of this project; a service's hold
only what the shared layer, `device_bridge`, has not.
"""

import shutil
import subprocess
import sys
from pathlib import Path

SHARED = "device_bridge"
_NOT_IN_IMAGES = shutil.ignore_patterns(
    "README.md", "pyproject.toml", "deploy.toml", "emulator.py", "emulated_*.py", "__pycache__", "*.png"
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
    return [line for line in lines if line and not line.startswith(("-e ", "./", "#"))], folders


def write(workspace: Path, out: Path, package: str, without: tuple[list[str], list[str]]) -> None:
    requirements, folders = locked(workspace, package)
    place = out / package
    (place / "source").mkdir(parents=True)
    own = sorted(set(requirements) - set(without[0]))
    (place / "requirements.txt").write_text("".join(f"{line}\n" for line in own))
    for folder in sorted(set(folders) - set(without[1])):
        shutil.copytree(workspace / folder, place / "source" / Path(folder).name, ignore=_NOT_IN_IMAGES)
    if package != SHARED:
        (place / "source" / "__main__.py").write_text(_MAIN.format(package))


def main() -> None:
    workspace, out = Path(sys.argv[1]), Path(sys.argv[2])
    write(workspace, out, SHARED, ([], []))
    shared = locked(workspace, SHARED)
    for project in sorted(workspace.glob("services/*/pyproject.toml")):
        write(workspace, out, project.parent.name, shared)


if __name__ == "__main__":
    main()
