"""Rules on files: there, small, tested, without I/O where bytes are understood."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from workspace.members import notes, problems

from .target import Target

LONGEST_SERVICE = 120
_IO = {"socket", "ssl", "subprocess", "threading", "os", "select", "serial", "smbus2", "gpiod", "selectors", "io"}


def complete(target: Target) -> Iterator[str]:
    """What its folder lacks, and what it still has of another."""
    place = f"services/{target.name}"
    for text in (*problems(target.root, locked=False), *notes(target.root)):
        if text.startswith((f"{place} ", f"{place}/", f"{place}:")):
            yield text


def size(target: Target) -> Iterator[str]:
    """A long service.py."""
    lines = sum(1 for line in target.text("service.py").splitlines() if line.strip())
    if lines > LONGEST_SERVICE:
        yield f"services/{target.name}/service.py has {lines} lines that are not blank, {LONGEST_SERVICE} at most"


def pure(target: Target) -> Iterator[str]:
    """Parsers and codecs that do I/O."""
    for stem in ("protocol", "chip"):
        files = [target.folder / f"{stem}.py", *sorted((target.folder / stem).glob("*.py"))]
        for file in (each for each in files if each.exists()):
            for node in ast.walk(ast.parse(file.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                for name in names:
                    if name.split(".")[0] in _IO:
                        where = file.relative_to(target.root)
                        yield f"{where}:{node.lineno}: imports {name}: bytes come in and values go out, no I/O"  # type: ignore[attr-defined]


def tested(target: Target) -> Iterator[str]:
    """A service that no test names."""
    if not target.tests("services", "integration", "conformance"):
        yield f"no test names it; write tests/services/test_{target.name}.py"


def random_trials(target: Target) -> Iterator[str]:
    """A service that has met with nothing but what somebody thought of."""
    has_worlds = (target.root / "tests/fault_campaign").exists() and target.needs.bus is not None
    if has_worlds and not target.tests("fault_campaign", "conformance"):
        yield f"no world of faults; write tests/fault_campaign/world_{target.name}.py"
    if not has_worlds and "@given" not in target.tests("services", "integration"):
        yield "none of its tests has random input; give Hypothesis what it receives"
