"""YAML documents with the line of every value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

Where: TypeAlias = "tuple[str | int, ...]"
"""The path to a value: keys and positions."""

MAX_BYTES = 16 * 1024 * 1024
MAX_VALUES = 1_000_000
"""Of one file, unless a caller wants fewer: a few lines with aliases can make any number."""
_MAX_DEPTH = 100
"""Of values in each other. libyaml composes them by recursion in C, which ends the process when the stack does."""
_MERGE, _TIMESTAMP = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:timestamp"
_SHOWN = 40
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def mapped(value: Any, change: Callable[[str], Any]) -> Any:
    """A value with each text in it changed, keys of mappings apart."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: mapped(inner, change) for key, inner in value.items()}
    return [mapped(inner, change) for inner in value] if isinstance(value, list | tuple) else value


class ManifestError(Exception):
    """A file that is not a manifest."""


@dataclass
class Document:
    """One document of a file.

    Parameters:
        file: it is in.
        content: as plain values.
        lines: the line of every value, by its path.
    """

    file: str
    content: Any
    lines: dict[Where, int] = field(repr=False)

    def line(self, where: Where) -> int:
        """The line of a value, or of the nearest value around it that has one."""
        while where not in self.lines and where:
            where = where[:-1]
        return self.lines.get(where, 1)


def load(file: Path, *, max_values: int = MAX_VALUES) -> list[Document]:
    """The documents of a file, one at least. Raises ManifestError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ManifestError(f"{file}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ManifestError(f"{file}: larger than {MAX_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ManifestError(f"{file}:{line}: this is not UTF-8. Save it as UTF-8") from None
    documents = parse(text, str(file), max_values=max_values)
    if not documents:
        raise ManifestError(f"{file}: it is empty")
    return documents


def parse(text: str, file: str, *, max_values: int = MAX_VALUES) -> list[Document]:
    """The documents of a text. Raises ManifestError."""
    documents = []
    loader = None
    try:
        _check_depth(text, file)
        loader = _LOADER(text)
        reader = _Reader(loader, file, max_values)
        while loader.check_node():
            node = loader.get_node()
            assert node is not None  # noqa: S101 - check_node said so
            reader.lines = {}
            documents.append(Document(file, reader.plain(node, ()), reader.lines))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ManifestError(f"{file}:{line}: this is not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ManifestError(f"{file}: this is not YAML: {error}") from None
    except RecursionError:
        raise ManifestError(f"{file}: an alias that holds itself") from None
    finally:
        if loader is not None:
            loader.dispose()
    return documents


def _check_depth(text: str, file: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise ManifestError(f"{file}:{line}: nested more than {_MAX_DEPTH} levels deep")


class _Reader:
    """Converts the YAML nodes of one file to plain values."""

    def __init__(self, loader: yaml.SafeLoader, file: str, max_values: int) -> None:
        self._loader, self._file = loader, file
        self._left = self._max_values = max_values
        self.lines: dict[Where, int] = {}

    def plain(self, node: yaml.Node, where: Where) -> Any:
        self._count()
        self.lines[where] = _line(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item, (*where, at)) for at, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                parts = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for part in reversed(parts):  # the first one wins
                    if not isinstance(part, yaml.MappingNode):
                        raise ManifestError(f"{self._file}:{_line(part)}: << takes mappings only")
                    self._count()
                    merged |= self._mapping(part, where)
                continue
            key = str(self._scalar(key_node))
            if key in found:
                raise ManifestError(f"{self._file}:{_line(key_node)}: {key!r} is used twice in one mapping")
            found[key] = self.plain(value_node, (*where, key))
            self.lines[(*where, key)] = _line(key_node)
        return merged | found

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ManifestError(f"{self._file}: more than {self._max_values} values. Do not multiply them by aliases")

    def _scalar(self, node: yaml.Node) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            raise ManifestError(f"{self._file}:{_line(node)}: a list or mapping as a key. Write text")
        if node.tag == _TIMESTAMP:
            return node.value  # JSON, which all of this ends as, has no dates
        try:
            return self._loader.construct_object(node)
        except ValueError as error:
            shown = node.value if len(node.value) <= _SHOWN else f"{node.value[:_SHOWN]}…"
            raise ManifestError(f"{self._file}:{_line(node)}: {shown}: {error}. Quote it") from None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
