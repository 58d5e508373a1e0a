"""YAML documents whose every value knows its line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

Where: TypeAlias = "tuple[str | int, ...]"
"""The way to a value: keys and positions."""

MAX_BYTES = 16 * 1024 * 1024


class ManifestError(Exception):
    """A file that is no manifest at all."""


@dataclass
class Document:
    """One document of a file.

    Parameters:
        file: where it stands.
        content: as plain values.
        lines: the line of every value, by the way to it.
    """

    file: str
    content: Any
    lines: dict[Where, int] = field(repr=False)

    def line(self, where: Where) -> int:
        """The line of a value, or of the nearest thing around it that has one."""
        while where not in self.lines and where:
            where = where[:-1]
        return self.lines.get(where, 1)


def load(file: Path) -> list[Document]:
    """The documents of a file. Raises ManifestError."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ManifestError(f"{file}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ManifestError(f"{file}: {len(data)} bytes, at most {MAX_BYTES} are read")
    return parse(data.decode(errors="replace"), str(file))


def parse(text: str, file: str) -> list[Document]:
    """The documents of a text. Raises ManifestError."""
    documents = []
    loader = yaml.SafeLoader(text)
    loader.name = file
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None  # noqa: S101 - check_node said so
            lines: dict[Where, int] = {}
            documents.append(Document(file, _plain(loader, node, (), lines), lines))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ManifestError(f"{file}:{line}: this is not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ManifestError(f"{file}: this is not YAML: {error}") from None
    finally:
        loader.dispose()
    return documents


def _plain(loader: yaml.SafeLoader, node: yaml.Node, where: Where, lines: dict[Where, int]) -> Any:
    lines[where] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(loader.construct_object(key_node))
            line = key_node.start_mark.line + 1
            if key in found:
                raise ManifestError(f"{node.start_mark.name}:{line}: {key!r} stands twice in one mapping")
            found[key] = _plain(loader, value_node, (*where, key), lines)
            lines[(*where, key)] = line
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, (*where, at), lines) for at, item in enumerate(node.value)]
    return loader.construct_object(node)
