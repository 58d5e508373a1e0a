"""Writes a service's files from its template.

Templates are a service of the name `my_device` that works as it stands: `my_device`, `my-device`, `MyDevice` and
DEVICE are replaced by what the new one is called, COMMANDS by its section of the README. A template is made of what
all have in common, what those of its bus have, and its own; the later file counts.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from .answers import TEMPLATES, Answers
from .remembered import FILE, remembered

_PLACES = {
    "test.py": "tests/services/test_{name}.py",
    "subject.py": "tests/conformance/subject_{name}.py",
    "world.py": "tests/fault_campaign/world_{name}.py",
}
"""Where files go that are not in the service's folder."""
_SUITES = ("subject.py", "world.py")
"""For tests that only this project has."""
_RUFF = Path(sys.executable).with_name("ruff")


def generate(answers: Answers, root: Path) -> list[Path]:
    """Writes a new service into the project at `root`; the files, in order. Raises AnswerError before it writes."""
    answers.check(root)
    write(
        root, filled(answers, root)
    )  # modules that are there are distinguished from other packages' when imports are sorted
    files = rendered(answers, root)
    files |= {f"services/{answers.name}/{FILE}": remembered(answers, files)}
    write(root, files)
    return [root / path for path in files]


def rendered(answers: Answers, root: Path) -> dict[str, str]:
    """Today's template for these answers: paths below `root` and texts, in the form of `make format`."""
    return {path: _formatted(root, path, text) for path, text in filled(answers, root).items()}


def filled(answers: Answers, root: Path) -> dict[str, str]:
    """The same as the template has it, with names put in."""
    outside = not (root / "common/device_bridge").exists()
    files: dict[str, str] = {}
    for folder in ("all", *(("outside",) if outside else ()), answers.bus, answers.template):
        files |= {file.name: file.read_text() for file in sorted((TEMPLATES / folder).glob("*.*"))}
    commands = files.pop("commands.md", "")
    files["README.md"] = files["README.md"].replace("COMMANDS", commands)
    places = {}
    for name, text in files.items():
        if not (outside and name in _SUITES):
            path = _PLACES.get(name, f"services/{{name}}/{name}").format(name=answers.name)
            places[path] = _filled(text, answers)
    return places


def write(root: Path, files: dict[str, str]) -> None:
    """Writes files below `root`."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def _filled(text: str, answers: Answers) -> str:
    name = answers.name
    device = answers.device or f"the device that {name} is for"
    new = {
        "my_device": name,
        "my-device": name.replace("_", "-"),
        "MyDevice": "".join(word.capitalize() for word in name.split("_")),
        "DEVICE": device,
    }

    def replacement(found: re.Match[str]) -> str:
        begins = found.start() == 0 or text[found.start() - 1] in '"\n'
        word = new[found[0]]
        return word[0].upper() + word[1:] if found[0] == "DEVICE" and begins else word

    return re.sub("|".join(new), replacement, text)


def _formatted(root: Path, path: str, text: str) -> str:
    """Imports in the order of the new names, lines joined or broken for their length."""
    if not path.endswith(".py"):
        return text
    for command in (("check", "--fix", "--select=I"), ("format",)):
        arguments = [_RUFF, *command, "--quiet", "--no-cache", f"--stdin-filename={path}", "-"]
        text = subprocess.run(arguments, cwd=root, input=text, check=True, capture_output=True, text=True).stdout
    return text
