"""Shows that what was written works: registers it, checks it, runs a demo, and says what comes next."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .answers import Answers

_NEXT = """
{name} works on its emulated device. What comes next{where}:
  1. {heart}: put your device's bytes there, and in emulator.py what it does with them; then
     make demo SERVICE={name}
  2. services/{name}/README.md: say how it is wired, and run: make check
  3. plug it in: {command}
"""
_MAKE = ("make", "--no-print-directory")


def check_service(answers: Answers, root: Path) -> int:
    """Registers a new service, runs its checks and a demo; the exit status."""
    steps = {"registering it": (*_MAKE, "lock", "setup")} | _checks_of(answers.name, root)
    steps |= {"showing it for five seconds": (sys.executable, "-m", "demo", answers.name, "--seconds", "5")}
    return _run(steps, root) or _say_next(answers, root, "")


def check_update(name: str, root: Path) -> int:
    """Writes an updated service's tables and runs its checks; the exit status."""
    tool = str(Path(sys.executable).with_name("ruff"))
    files = (f"services/{name}", f"tests/services/test_{name}.py")
    steps: dict[str, Sequence[str]] = {
        "writing its tables": (*_MAKE, "lock", "setup"),
        "checking its form": (tool, "check", "--quiet", "--fix", *files),
    }
    return _run(steps | _checks_of(name, root), root)


def check_project(answers: Answers, root: Path) -> int:
    """The same in a new project, with an environment of its own."""
    steps = {
        "choosing versions of what it depends on": (*_MAKE, "lock"),
        "checking it": (*_MAKE, "check", "lint-services"),
        "showing its service for five seconds": (*_MAKE, "demo", "SECONDS=5"),
    }
    return _run(steps, root) or _say_next(answers, root, f" in {root}")


def _checks_of(name: str, root: Path) -> dict[str, Sequence[str]]:
    run = (sys.executable, "-m")
    suites = [each for each in ("tests/conformance", "tests/fault_campaign") if (root / each).exists()]
    tests = (f"tests/services/test_{name}.py", *suites, "-k", name)
    return {
        "checking its types": (*run, "mypy", f"services/{name}"),
        "running its tests": (*run, "pytest", "-q", *tests),
        "holding it against the quality scale": (*run, "scaffold", "lint-services", "--service", name),
    }


def _run(steps: Mapping[str, Sequence[str]], root: Path) -> int:
    for text, command in steps.items():
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        done = subprocess.run(command, cwd=root, check=False, env=os.environ | {"MAKEFLAGS": ""})
        if done.returncode:
            sys.stderr.write(f"that has failed; what was written stays as it is. It was: {' '.join(command)}\n")
            return 1
    return 0


def _say_next(answers: Answers, root: Path, where: str) -> int:
    folder = f"services/{answers.name}"
    heart = next(f"{folder}/{name}" for name in ("protocol.py", "chip.py") if (root / folder / name).exists())
    readme = (root / folder / "README.md").read_text().splitlines()
    command = next(line.removeprefix("$ ") for line in readme if "IOFOG_LINK=console:" in line)
    sys.stdout.write(_NEXT.format(name=answers.name, heart=heart, command=command, where=where))
    return 0
