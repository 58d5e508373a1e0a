"""The folder of a rendered fleet: written, and compared with what a fleet would be rendered to now."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..documents import parse
from ..generations import GENERATIONS
from ..manifests import Finding, check_documents


def check_rendered_files(files: Mapping[str, str], generation: str) -> list[Finding]:
    """What is wrong in the files of a fleet; rings only repeat what nodes have."""
    alone = {name: text for name, text in files.items() if not name.startswith("rings/")}
    documents = [document for name, text in alone.items() for document in parse(text, name)]
    return [each for each in check_documents(documents, GENERATIONS[generation]) if each.is_error]


def write_files(files: Mapping[str, str], folder: Path) -> None:
    """Writes the files of a fleet, and removes those of nodes that are gone."""
    for name in _left_over(files, folder):
        (folder / name).unlink()
    for name, text in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def differences(files: Mapping[str, str], folder: Path) -> Iterator[str]:
    """What writing the files would change in the folder, as a unified diff for each file."""
    for name in [*files, *_left_over(files, folder)]:
        there = folder / name
        before = there.read_text() if there.exists() else ""
        lines = (before.splitlines(), files.get(name, "").splitlines())
        yield from difflib.unified_diff(*lines, f"before/{name}", f"now/{name}", lineterm="", n=2)


def _left_over(files: Mapping[str, str], folder: Path) -> list[str]:
    there = (str(file.relative_to(folder)) for file in sorted(folder.rglob("*.yaml")))
    return [name for name in there if name not in files]
