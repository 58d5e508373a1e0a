"""Brings later improvements of a template into a service made from it, by the three-way merge of `git merge-file`.

The base is what the template was when the service was made, or last brought up to date; what both have changed in the
same place stays in the file between git's marks.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .answers import AnswerError
from .remembered import FILE, recall, remembered
from .rendering import rendered, write

_TABLE = re.compile(r"(<!-- (?!end)\w+ -->\n).*?(?=<!-- end -->)", re.DOTALL)
_MARK = "<<<<<<< "
_LABELS = ("yours", "the template before", "the template")


class Change(NamedTuple):
    """What an update did to a file.

    Parameters:
        path: below the project's top folder.
        what: in words.
        conflicts: places that its author has to decide on.
    """

    path: str
    what: str
    conflicts: int = 0


def update(root: Path, name: str) -> list[Change]:
    """Merges today's template into the service `name`; what was changed. Raises AnswerError before it writes."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise AnswerError(f"NAME={name}: write the name of a service that make new-service made, as tide_gauge")
    answers, base = recall(root, name)
    for path in base:
        if (root / path).exists() and _MARK in (root / path).read_text():
            raise AnswerError(
                f"NAME={name}: {path} has places marked {_MARK.strip()} to be decided on; do that first"
            )
    today = rendered(answers, root)
    changes, texts = [], {}
    for change, text in _merged(root, base, today):
        changes.append(change)
        if text is not None:
            texts[change.path] = text
    write(root, texts | {f"services/{name}/{FILE}": remembered(answers, today)})
    return changes


def _merged(root: Path, base: dict[str, str], today: dict[str, str]) -> Iterator[tuple[Change, str | None]]:
    """Each file that the template has changed, and its new text."""
    for path in [*today, *(path for path in base if path not in today)]:
        before, after, file = base.get(path), today.get(path), root / path
        if before == after:
            continue
        if after is None:
            if file.exists():
                yield Change(path, "is no longer in the template; remove it if you do not need it"), None
        elif not file.exists():
            if before is None:
                yield Change(path, "is new"), after
            else:
                yield Change(path, "was changed in the template; you have removed it"), None
        elif (ours := _without_tables(file.read_text())) != after:
            text, conflicts = merge(ours, before or "", after)
            what = f"has {conflicts} place{'s' * (conflicts != 1)} to decide on, marked {_MARK.strip()}"
            yield Change(path, what if conflicts else "is merged", conflicts), text


def merge(ours: str, base: str, theirs: str) -> tuple[str, int]:
    """The merged text, and how many places of it are in conflict. Raises AnswerError without git."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("ours", "base", "theirs")]
        for file, text in zip(files, (ours, base, theirs), strict=True):
            file.write_text(text)
        labels = [word for label in _LABELS for word in ("-L", label)]
        command = ["git", "merge-file", "--stdout", "--diff3", *labels, *map(str, files)]
        try:
            done = subprocess.run(command, capture_output=True, check=False, text=True)
        except FileNotFoundError:
            raise AnswerError("git is needed for the merge, and was not found. Install it") from None
    if done.returncode not in range(128):
        raise AnswerError(f"git merge-file failed: {done.stderr.strip()}")
    return done.stdout, done.returncode


def _without_tables(text: str) -> str:
    """A README without what `make docs` writes into it, as templates have it."""
    return _TABLE.sub(r"\1", text)
