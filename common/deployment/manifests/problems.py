"""What is wrong in a manifest, and where."""

from __future__ import annotations

from typing import NamedTuple

from ..documents import Document, Where


class Problem(NamedTuple):
    """Something that is wrong in a document.

    Parameters:
        where: it is written.
        rule: what is wrong.
        remedy: what to write instead.
        warning: whether the manifest can be deployed all the same.
    """

    where: Where
    rule: str
    remedy: str
    warning: bool = False


class Finding(NamedTuple):
    """Something that is wrong in a file.

    Parameters:
        file: which.
        line: where.
        rule: what is wrong.
        remedy: what to write instead.
        warning: whether the manifest can be deployed all the same.
    """

    file: str
    line: int
    rule: str
    remedy: str
    warning: bool = False

    @property
    def is_error(self) -> bool:
        """Whether the manifest must not be deployed as it is."""
        return not self.warning

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {'warning: ' * self.warning}{self.rule}. {self.remedy}"


def finding(document: Document, problem: Problem) -> Finding:
    """A problem with the line of its file."""
    return Finding(document.file, document.line(problem.where), *problem[1:])
