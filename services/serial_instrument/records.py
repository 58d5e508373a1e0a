"""Raw values out of one record, in the way its settings describe. No I/O."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias

from msgspec import Meta

from device_bridge import Settings, SettingsError
from device_bridge.protocols import Pattern, Raw, at_path, decoded_json, layout_of

PatternText = Annotated[str, Meta(max_length=2000, description="regular expression of Python's re")]
Key: TypeAlias = "str | int"
Get: TypeAlias = "Callable[[Key], Raw]"
"""The raw value behind a key: None where the record does not speak of it, an empty text where it has no value."""
Reader: TypeAlias = "Callable[[bytes, str], Get]"
"""Reads a record, given as bytes and as text; raises Malformed."""


class RegexRecord(Settings, frozen=True, kw_only=True, tag="regex", tag_field="type"):
    """Text matched as a whole; a key is the name or number of a group."""

    pattern: PatternText


class SearchRecord(Settings, frozen=True, kw_only=True, tag="search", tag_field="type"):
    """Text that is searched; a key is a pattern with one group, which is the value."""


class CsvRecord(Settings, frozen=True, kw_only=True, tag="csv", tag_field="type"):
    """Columns; a key is a column's number, from 1."""

    separator: Annotated[str, Meta(min_length=1, max_length=1)] = ","


class JsonRecord(Settings, frozen=True, kw_only=True, tag="json", tag_field="type"):
    """A JSON object or array; a key is a path as `imu.acceleration.0`."""


class KeyValueRecord(Settings, frozen=True, kw_only=True, tag="key_value", tag_field="type"):
    """Pairs as `T=21.5,H=40`; a key is the text before the separator."""

    separator: Annotated[str, Meta(min_length=1, max_length=4)] = "="
    between: Annotated[str, Meta(min_length=1, max_length=4)] = ","


class StructRecord(Settings, frozen=True, kw_only=True, tag="struct", tag_field="type"):
    """Binary values, laid out as in Python's struct; a key is a value's number, from 1."""

    format: Annotated[str, Meta(min_length=1, max_length=200, examples=[">2xHBBH"])]


Record: TypeAlias = RegexRecord | SearchRecord | CsvRecord | JsonRecord | KeyValueRecord | StructRecord


class Malformed(ValueError):  # noqa: N818
    """A frame is not what the settings describe."""


def reader_for(record: Record, keys: Sequence[Key], path: str = "record") -> Reader:
    """What reads records.

    Parameters:
        record: how.
        keys: those that will be asked for.
        path: of these settings, for errors.

    Raises SettingsError for a pattern, format or key that cannot be.
    """
    match record:
        case RegexRecord():
            return _regex(record, keys, path)
        case SearchRecord():
            return _search(keys)
        case StructRecord():
            return _struct(record, keys, path)
        case CsvRecord():
            _check_numbers(keys, None, "column")
            return lambda _, text: _columns(record, text)
        case KeyValueRecord():
            return lambda _, text: _pairs(record, text).get
        case JsonRecord():
            return lambda _, text: _json(text)


def text_of(data: bytes, encoding: str = "") -> str:
    """Bytes as text: in this encoding, else UTF-8; where that does not fit, one character for each byte."""
    try:
        return data.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _regex(record: RegexRecord, keys: Sequence[Key], path: str) -> Reader:
    pattern = Pattern(record.pattern, f"{path}.pattern")
    for key in keys:
        known = key in pattern.names if isinstance(key, str) else 1 <= key <= pattern.groups
        if not known:
            groups = ", ".join(pattern.names) or "none has a name"
            raise SettingsError("fields.key", key, f"is no group of {path}.pattern", f"Groups: {groups}.")

    def read(_: bytes, text: str) -> Get:
        match = pattern.fullmatch(text) or pattern.fullmatch(text.strip(" \t"))
        if match is None:
            raise Malformed("does not match its pattern")
        return match.group

    return read


def _search(keys: Sequence[Key]) -> Reader:
    patterns = {key: Pattern(str(key), "fields.key") for key in keys}
    for key, pattern in patterns.items():
        if pattern.groups != 1:
            remedy = "Write the value in parentheses, and no others but (?:…)."
            raise SettingsError("fields.key", key, f"has {pattern.groups} groups instead of one", remedy)

    def read(_: bytes, text: str) -> Get:
        def get(key: Key) -> Raw:
            match = patterns[key].search(text)
            return match[1] if match else None

        return get

    return read


def _struct(record: StructRecord, keys: Sequence[Key], path: str) -> Reader:
    layout = layout_of(record.format, f"{path}.format")
    _check_numbers(keys, len(layout.unpack(bytes(layout.size))), "value")

    def read(frame: bytes, _: str) -> Get:
        if len(frame) != layout.size:
            raise Malformed(f"has {len(frame)} bytes, its format describes {layout.size}")
        values = layout.unpack(frame)
        return lambda key: _plain(values[int(key) - 1])

    return read


def _plain(value: Any) -> Raw:
    """Text without the NULs that fill it up."""
    return text_of(value.rstrip(b"\0")) if isinstance(value, bytes) else value


def _check_numbers(keys: Sequence[Key], count: int | None, what: str) -> None:
    for key in keys:
        if not isinstance(key, int) or key < 1 or (count is not None and key > count):
            remedy = (
                f"Write the number of the {what}, 1 to {count}." if count else f"Write the {what}'s number, from 1."
            )
            raise SettingsError("fields.key", key, f"is no number of a {what}", remedy)


def _columns(record: CsvRecord, text: str) -> Get:
    try:
        columns = next(csv.reader([text], delimiter=record.separator), [])
    except csv.Error as error:
        raise Malformed(f"has no columns: {error}") from None
    return lambda key: columns[int(key) - 1] if int(key) <= len(columns) else None


def _pairs(record: KeyValueRecord, text: str) -> dict[Key, Raw]:
    found: dict[Key, Raw] = {}
    for pair in text.split(record.between):
        name, separator, value = pair.partition(record.separator)
        if separator:
            found[name.strip()] = value
    if not found:
        raise Malformed(f"has no pair with {record.separator!r}")
    return found


def _json(text: str) -> Get:
    try:
        content = decoded_json(text)
    except ValueError as error:
        raise Malformed(f"is not JSON: {error}") from None
    if not isinstance(content, dict | list):
        raise Malformed("is JSON without members")
    return lambda key: at_path(content, str(key), null="")
