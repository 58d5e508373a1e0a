"""Makes a repository of one's own: one service, its tests, and what this project's targets need.

Its packages are releases of this project's, from an index, or from a folder of wheels that comes with it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Set
from pathlib import Path

from iofog_sdk import __version__
from workspace.images import DOCKERFILE

from .answers import TEMPLATES, AnswerError, Answers
from .rendering import generate, write

WHEELS = "wheels"
_NOT_THEIRS = ("new-project", "renew-base")
_OUR_TESTS = "-m tests."
"""Targets of the Makefile that are about this project: by name, and by what runs this project's own tests."""
_OF_OURS = re.compile(r".*(common/workspace/|pip compile|TOOLS:\.txt=\.in).*\n")
"""Lines of its recipes about its own packages."""
_OWN_OR_SITE = re.compile(r"\$\(if \$\(or .*,\$\(SERVICE\)\)")
"""The service to show; without a name, this project shows a site."""
_RULE = re.compile(r"^(?P<target>[a-z$()A-Z-]+):(?!=)", re.MULTILINE)
_FOLDER = re.compile(rf'url = "{WHEELS}"\nformat = "flat".*\n')


def new_project(folder: Path, answers: Answers, source: Path, index: str = "") -> list[Path]:
    """Writes the repository; its files, in order. Raises AnswerError before it writes.

    Parameters:
        folder: that is not there yet, or empty.
        answers: on its service.
        source: top folder of this project.
        index: URL of a package index that has its releases; "" for wheels of this checkout.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AnswerError(f"DIR={folder}: is not empty; write the name of a folder to be made")
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    if not name or name == answers.name.replace("_", "-"):
        raise AnswerError(f"DIR={folder}: the folder's name becomes the project's; write another than its service's")
    answers.check(folder)
    files = dict(_files(source, name, index))
    write(folder, files)
    if not index:
        build_wheels(source, folder / WHEELS)
    return [*(folder / path for path in files), *generate(answers, folder)]


def build_wheels(source: Path, folder: Path) -> None:
    """Makes wheels of this project's packages. Raises AnswerError."""
    for file in sorted(source.glob("common/*/pyproject.toml")):
        command = [
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "--target",
            "wheel",
            "--directory",
            str(folder.resolve()),
        ]
        done = subprocess.run(command, cwd=file.parent, capture_output=True, check=False, text=True)
        if done.returncode:
            raise AnswerError(f"no wheel of {file.parent.name} could be made: {done.stderr.strip()}")


def _files(source: Path, name: str, index: str) -> dict[str, str]:
    new = {"PROJECT": name, "VERSION": __version__}
    template = TEMPLATES / "project"
    files = {}
    for file in sorted(path for path in template.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        text = re.sub(r"\b(PROJECT|VERSION)\b", lambda found: new[found[1]], file.read_text())
        files[str(file.relative_to(template)).removesuffix(".in")] = text
    if index:
        files["pyproject.toml"] = _FOLDER.sub(f'url = "{index}"\n', files["pyproject.toml"])
    files["Makefile"] = makefile((source / "Makefile").read_text())
    tools = str(Path(DOCKERFILE).with_name("tools.txt"))
    return files | {tools: (source / tools).read_text()}


def makefile(text: str) -> str:
    """That of a project of one's own: this project's without what is about this project."""
    named = {rule: paragraph for paragraph in text.split("\n\n") for rule in _RULE.findall(paragraph)}
    ours = {rule for rule, paragraph in named.items() if rule in _NOT_THEIRS or _OUR_TESTS in paragraph}
    theirs = [each for each in text.split("\n\n") if not ours & set(_RULE.findall(each))]
    whole = _OF_OURS.sub("", "\n\n".join(theirs))
    whole = re.sub(r"^\.PHONY: .*", lambda phony: _without(phony[0], ours), whole, flags=re.MULTILINE)
    whole = _OWN_OR_SITE.sub("$(SERVICE)", whole)
    return re.sub(r"^SERVICE \?= .*", "SERVICE ?= $(firstword $(SERVICES))", whole, flags=re.MULTILINE)


def _without(phony: str, names: Set[str]) -> str:
    return " ".join(word for word in phony.split() if word not in names)
