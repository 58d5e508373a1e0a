"""Writes a service's files from its template.

Templates are a service of the name `my_device` that works as it stands: `my_device`, `my-device`, `MyDevice` and
DEVICE are replaced by what the new one is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .answers import TEMPLATES, Answers

_PLACES = {
    "test.py": "tests/services/test_{name}.py",
    "subject.py": "tests/conformance/subject_{name}.py",
    "world.py": "tests/fault_campaign/world_{name}.py",
}
"""Where files go that are not in the service's folder."""


def generate(answers: Answers, root: Path) -> list[Path]:
    """Writes a new service into the project at `root`; the files, in order. Raises AnswerError before it writes."""
    answers.check(root)
    files = dict(_files(answers))
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return [root / path for path in files]


def _files(answers: Answers) -> Iterator[tuple[str, str]]:
    for folder in ("all", answers.template):
        for file in sorted((TEMPLATES / folder).glob("*.*")):
            place = _PLACES.get(file.name, f"services/{{name}}/{file.name}").format(name=answers.name)
            yield place, _filled(file.read_text(), answers)


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
