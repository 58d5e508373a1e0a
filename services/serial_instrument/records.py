"""Raw values out of one frame, in the way its settings describe. No I/O."""

from __future__ import annotations

import csv
import re
import struct
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from device_bridge import Settings, SettingsError
from device_bridge.protocols import Raw, at_path

Pattern = Annotated[str, Meta(max_length=1000, description="regular expression of Python's re")]
Take: TypeAlias = "Callable[[bytes], Callable[[str | int], Raw]]"
"""Takes a frame apart; what it returns gives the raw value behind a key, None where there is none."""


class RegexRecord(Settings, frozen=True, kw_only=True, tag="regex", tag_field="type"):
    """Text matched as a whole; a key is the name or number of a group."""

    pattern: Pattern


class CsvRecord(Settings, frozen=True, kw_only=True, tag="csv", tag_field="type"):
    """Columns; a key is a column's number, from 1."""

    separator: Annotated[str, Meta(min_length=1, max_length=1)] = ","


class JsonRecord(Settings, frozen=True, kw_only=True, tag="json", tag_field="type"):
    """A JSON object or array; a key is a path as `imu.acceleration.0`."""


class KeyValueRecord(Settings, frozen=True, kw_only=True, tag="key_value", tag_field="type"):
    """Pairs as `T=21.5,H=40`; a key is what stands before the separator."""

    separator: Annotated[str, Meta(min_length=1, max_length=4)] = "="
    between: Annotated[str, Meta(min_length=1, max_length=4)] = ","


class StructRecord(Settings, frozen=True, kw_only=True, tag="struct", tag_field="type"):
    """Binary values, laid out as in Python's struct; a key is a value's number, from 1."""

    format: Annotated[str, Meta(min_length=1, max_length=200, examples=[">2xHBBH"])]


Record: TypeAlias = RegexRecord | CsvRecord | JsonRecord | KeyValueRecord | StructRecord


class Malformed(ValueError):  # noqa: N818
    """A frame is not what the settings describe."""


def taker_for(record: Record, keys: Sequence[str | int]) -> Take:
    """What takes frames apart.

    Parameters:
        record: how.
        keys: those that will be asked for.

    Raises SettingsError for a pattern, format or key that cannot be. What it returns raises Malformed.
    """
    match record:
        case RegexRecord():
            return _regex(record, keys)
        case StructRecord():
            return _struct(record, keys)
        case CsvRecord():
            _check_numbers(keys, None, "column")
            return lambda frame: _columns(record, text_of(frame))
        case KeyValueRecord():
            return lambda frame: _pairs(record, text_of(frame)).get
        case JsonRecord():
            return _json


def text_of(frame: bytes) -> str:
    """A frame as text: UTF-8, or else byte by byte."""
    try:
        return frame.decode()
    except UnicodeDecodeError:
        return frame.decode("latin-1")


def pattern_of(text: str, setting: str) -> re.Pattern[str]:
    """A compiled pattern. Raises SettingsError, which names the setting."""
    try:
        return re.compile(text)
    except re.error as error:
        remedy = "See Python's re for the syntax; in JSON every backslash is written twice."
        raise SettingsError(setting, text, f"is no regular expression: {error}", remedy) from None


def _regex(record: RegexRecord, keys: Sequence[str | int]) -> Take:
    pattern = pattern_of(record.pattern, "record.pattern")
    for key in keys:
        known = key in pattern.groupindex if isinstance(key, str) else 1 <= key <= pattern.groups
        if not known:
            groups = ", ".join(pattern.groupindex) or "none has a name"
            raise SettingsError("fields.key", key, "is no group of record.pattern", f"Groups: {groups}.")

    def take(frame: bytes) -> Callable[[str | int], Raw]:
        match = pattern.fullmatch(text_of(frame).strip())
        if match is None:
            raise Malformed("does not match record.pattern")
        return match.group

    return take


def _struct(record: StructRecord, keys: Sequence[str | int]) -> Take:
    try:
        layout = struct.Struct(record.format)
    except struct.error as error:
        raise SettingsError(
            "record.format", record.format, str(error), "See Python's struct for the syntax."
        ) from None
    _check_numbers(keys, len(layout.unpack(bytes(layout.size))), "value")

    def take(frame: bytes) -> Callable[[str | int], Raw]:
        if len(frame) != layout.size:
            raise Malformed(f"has {len(frame)} bytes, record.format describes {layout.size}")
        values = layout.unpack(frame)
        return lambda key: _plain(values[int(key) - 1])

    return take


def _plain(value: Any) -> Raw:
    return text_of(value) if isinstance(value, bytes) else value


def _check_numbers(keys: Sequence[str | int], count: int | None, what: str) -> None:
    for key in keys:
        if not isinstance(key, int) or key < 1 or (count is not None and key > count):
            remedy = (
                f"Write the number of the {what}, 1 to {count}." if count else f"Write the {what}'s number, from 1."
            )
            raise SettingsError("fields.key", key, f"is no number of a {what}", remedy)


def _columns(record: CsvRecord, text: str) -> Callable[[str | int], Raw]:
    try:
        columns = next(csv.reader([text], delimiter=record.separator), [])
    except csv.Error as error:
        raise Malformed(f"has no columns: {error}") from None
    return lambda key: columns[int(key) - 1] if int(key) <= len(columns) else None


def _pairs(record: KeyValueRecord, text: str) -> dict[str | int, Raw]:
    found: dict[str | int, Raw] = {}
    for pair in text.split(record.between):
        name, separator, value = pair.partition(record.separator)
        if separator:
            found[name.strip()] = value
    if not found:
        raise Malformed(f"has no pair with {record.separator!r}")
    return found


def _json(frame: bytes) -> Callable[[str | int], Raw]:
    try:
        content = msgspec.json.decode(frame)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed(f"is not JSON: {error}") from None
    if not isinstance(content, dict | list):
        raise Malformed("is JSON without members")
    return lambda key: at_path(content, str(key))
