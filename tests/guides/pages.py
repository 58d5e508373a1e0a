"""Guides as tests read them: commands, the files they have written by hand, the output they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(
    r"(?:^`(?P<file>[^`\n]+)`[^\n]*:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_STATUS = re.compile(r"# ends with status (\d+)")
_RUNS_ON = re.compile(r"\bmake run\b|\.emulator$")


class Command(NamedTuple):
    """A command line.

    Parameters:
        text: as a shell takes it.
        status: that it ends with.
        shown: lines of its output, `…` for any text.
    """

    text: str
    status: int = 0
    shown: tuple[str, ...] = ()

    @property
    def runs_on(self) -> bool:
        """Whether it has to be stopped."""
        return bool(_RUNS_ON.search(self.text))

    def missing(self, output: str) -> list[str]:
        """What is shown and does not come, in its order."""
        at, missing = 0, []
        lines = output.splitlines()
        for line in self.shown:
            pattern = re.compile(".*".join(re.escape(part) for part in line.strip().split("…")))
            found = next((n for n in range(at, len(lines)) if pattern.fullmatch(lines[n].strip())), None)
            if found is None:
                missing.append(line)
            else:
                at = found + 1
        return missing


class File(NamedTuple):
    """A file written by hand."""

    path: str
    text: str


def steps(page: Path) -> Iterator[Command | File]:
    """What a reader does, in order."""
    blocks = list(_BLOCK.finditer(page.read_text()))
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        if block["language"] == "sh":
            lines = [line for line in block["text"].replace("\\\n", "").splitlines() if line.strip()]
            shown = tuple(after["text"].splitlines()) if after is not None and after["language"] == "text" else ()
            for line in lines:
                status = _STATUS.search(line)
                yield Command(line, int(status[1]) if status else 0, shown if line is lines[-1] else ())
        elif block["file"]:
            yield File(block["file"], block["text"])
        elif block["language"] != "text":
            raise ValueError(f"{page}: of which file is {block['text'].splitlines()[0]!r}? Write `PATH`: above it")
