"""SenML packs (RFC 8428) as records with their base fields applied, and packs split by quantity. No I/O."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from math import isfinite
from typing import Any, NamedTuple

import msgspec

from ..errors import IoFogError

SENML_TYPE = "application/senml+json"
MAX_RECORDS = 10_000
_NAME_MAX = 200
_UNSAFE = str.maketrans(dict.fromkeys(map(chr, (*range(33), *b".*>+#/", 127)), "-"))
_ABSOLUTE_TIME = 2**28
VERSION = 10
VERSION_SECONDARY_UNITS = VERSION + 2**4
"""Secondary units (RFC 8798) are the one registered feature that a version can state (RFC 9100 section 3)."""

SenmlValue = float | int | str | bool | bytes


class SenmlError(IoFogError, ValueError):
    """Content is not a SenML pack, or one that must not be read without knowing more than this module."""


class _Fields(msgspec.Struct, gc=False):
    """The fields of RFC 8428 section 4 as they are written, by their JSON labels."""

    bn: str | None = None
    bt: float | None = None
    bu: str | None = None
    bv: float | int | None = None
    bs: float | int | None = None
    bver: int | None = None
    n: str = ""
    u: str = ""
    v: float | int | None = None
    vs: str | None = None
    vb: bool | None = None
    vd: str | None = None
    s: float | int | None = None
    t: float = 0.0


_BASE_FIELDS = frozenset(("bn", "bt", "bu", "bv", "bs", "bver"))
_typed = msgspec.json.Decoder(list[_Fields])
_as_written = msgspec.json.Decoder(list[dict[str, Any]])


class SenmlRecord(NamedTuple):
    """One record, resolved (RFC 8428 section 4.6) except for times relative to now, below 2**28, which stay so.

    Parameters:
        base_name, own_name: the two parts of its name.
        value: with the base value added; bytes of a data value; None for a record that has none.
        unit: its own, or the base unit.
        time: seconds, with the base time added.
        sum: integrated value, with the base sum added; None for none.
        fields: the record as written, with labels that RFC 8428 does not know.
        base: base fields of earlier records and its own; the same object while they do not change.
    """

    base_name: str
    own_name: str
    value: SenmlValue | None
    unit: str
    time: float
    sum: float | None
    fields: dict[str, Any]
    base: dict[str, Any]

    @property
    def name(self) -> str:
        """Base name and own name."""
        return self.base_name + self.own_name

    @property
    def source(self) -> str:
        """The base name without its final separator, and without the quantity if that is its last part."""
        base = self.base_name.rstrip(":/.")
        return base if self.own_name else base.rpartition(":")[0]

    @property
    def quantity(self) -> str:
        """The own name, or the last part of the base name."""
        return self.own_name or self.base_name.rstrip(":/.").rpartition(":")[2]

    @property
    def is_relative(self) -> bool:
        """Whether its time counts from when it was sent (RFC 8428 section 4.5.3)."""
        return self.time < _ABSOLUTE_TIME

    def at(self, sent_at: float) -> SenmlRecord:
        """The record with its time in seconds since 1970-01-01, where it counts from `sent_at`."""
        if not self.is_relative:
            return self
        time = round(self.time + sent_at, 6)
        fields = {label: value for label, value in self.standalone.items() if label != "t"} | {"bt": time}
        return self._replace(time=time, fields=fields, base={})

    @property
    def standalone(self) -> dict[str, Any]:
        """The fields of an equal record that is the first of a pack."""
        return self.base | self.fields


def parse_senml(content: bytes) -> list[SenmlRecord]:
    """The records of a pack. Raises SenmlError, also for what RFC 8428 forbids to read in part.

    That is a version that is not known (section 4.4; RFC 9100), and a field whose label ends in `_` (section 4.4).
    """
    try:
        typed, records = _typed.decode(content), _as_written.decode(content)
        if len(records) > MAX_RECORDS:
            raise SenmlError(f"{len(records)} records in a pack, at most {MAX_RECORDS} are read")
        return list(_resolve(typed, records))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SenmlError(f"not a SenML pack: {error}") from None
    except OverflowError:
        raise SenmlError("a record has a number that is too large") from None


def _resolve(typed: list[_Fields], records: list[dict[str, Any]]) -> Iterator[SenmlRecord]:
    base: dict[str, Any] = {}
    name, unit, time, base_value, base_sum = "", "", 0.0, 0.0, 0.0
    for fields, record in zip(typed, records, strict=True):
        if not _BASE_FIELDS.isdisjoint(record):
            base = base | {label: value for label, value in record.items() if label in _BASE_FIELDS}
            name = name if fields.bn is None else fields.bn
            time = time if fields.bt is None else fields.bt
            unit = unit if fields.bu is None else fields.bu
            base_value = base_value if fields.bv is None else fields.bv
            base_sum = base_sum if fields.bs is None else fields.bs
            _check_version(fields.bver or VERSION)
        if unknown := [label for label in record if label[-1:] == "_"]:
            raise SenmlError(f"a record has the field {unknown[0]!r}, which a reader must know and this one does not")
        value, number = _value(fields), fields.v
        if base_value and number is not None:
            value = number = number + base_value
        total = fields.s if fields.s is None else fields.s + base_sum
        at = time + fields.t
        # isfinite raises OverflowError for an integer larger than any float.
        if not (isfinite(at) and (number is None or isfinite(number)) and (total is None or isfinite(total))):
            raise OverflowError
        if not (name or fields.n) and not (value is None and total is None):
            raise SenmlError("a record has neither name nor base name")
        yield SenmlRecord(name, fields.n, value, fields.u or unit, at, total, record, base)


def _value(fields: _Fields) -> SenmlValue | None:
    number, text, state, data = fields.v, fields.vs, fields.vb, fields.vd
    count = (number is not None) + (text is not None) + (state is not None) + (data is not None)
    if count > 1:
        raise SenmlError(f"record {fields.n!r} has {count} values; one is allowed")
    if data is None:
        return number if number is not None else text if text is not None else state
    try:
        return base64.b64decode(data + "=" * (-len(data) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SenmlError(f"record {fields.n!r}: vd is not base64url") from None


def _check_version(version: int) -> None:
    if version > VERSION and version != VERSION_SECONDARY_UNITS:
        raise SenmlError(f"bver {version} is unknown; known are {VERSION} and {VERSION_SECONDARY_UNITS}")


def sanitize_name(name: str) -> str:
    """A name as one word of a NATS subject or one level of an MQTT topic."""
    name = name[:_NAME_MAX].translate(_UNSAFE)
    return name if name.isprintable() else "".join(each if each.isprintable() else "-" for each in name)


def split_by_quantity(content: bytes) -> dict[str, bytes]:
    """One pack per quantity, by sanitized name, in the order of first records; other content stays whole, named "".

    Each pack has all base fields in its first record and wherever they change, so that it can be read on its own.
    """
    packs: dict[str, list[dict[str, Any]]] = {}
    bases: dict[str, dict[str, Any]] = {}
    try:
        for record in parse_senml(content):
            name = sanitize_name(record.quantity)
            same_base = bases.get(name) is record.base
            packs.setdefault(name, []).append(record.fields if same_base else record.standalone)
            bases[name] = record.base
    except SenmlError:
        return {"": content}
    if len(packs) <= 1:
        return dict.fromkeys(packs, content) or {"": content}
    return {name: msgspec.json.encode(pack) for name, pack in packs.items()}
