"""Takes a SenML pack (RFC 8428) apart, for subjects and topics of each quantity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

_BASE = ("bn", "bt", "bu", "bv", "bs", "bver")
_NAME_MAX = 200
_UNSAFE = str.maketrans(dict.fromkeys(map(chr, (*range(33), *b".*>+#/", 127)), "-"))


class SenmlRecord(NamedTuple):
    """One record of a pack.

    Parameters:
        source: base name, without the separator at its end.
        quantity: its own name, or the last part of the base name.
        own: the record as it stands.
        base: fields that earlier records have set for it.
    """

    source: str
    quantity: str
    own: dict[str, Any]
    base: dict[str, Any]

    @property
    def alone(self) -> dict[str, Any]:
        """The record as a pack of its own has it."""
        return self.base | self.own


def senml_records(content: bytes) -> Iterator[SenmlRecord]:
    """The records of a pack. Raises ValueError for what is none."""
    try:
        records = msgspec.json.decode(content, type=list[dict[str, Any]])
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not a SenML pack: {error}") from None
    base: dict[str, Any] = {}
    for record in records:
        base = base | {key: record[key] for key in _BASE if key in record}
        whole = str(base.get("bn", "")).rstrip(":/.")
        name = str(record.get("n", ""))
        yield SenmlRecord(whole if name else whole.rpartition(":")[0], name or whole.rpartition(":")[2], record, base)


def safe(name: str) -> str:
    """A name as one word of a subject or one level of a topic."""
    return name[:_NAME_MAX].translate(_UNSAFE)


def split_by_quantity(content: bytes) -> dict[str, bytes]:
    """Packs by the name of their quantity, in the order of its first record; what is no pack stays whole, named "".

    Each pack's first record carries the base fields, so that every pack stands by itself.
    """
    packs: dict[str, list[dict[str, Any]]] = {}
    try:
        for record in senml_records(content):
            pack = packs.setdefault(safe(record.quantity), [])
            pack.append(record.own if pack else record.alone)
    except ValueError:
        return {"": content}
    if len(packs) <= 1:
        return dict.fromkeys(packs, content) or {"": content}
    return {name: msgspec.json.encode(pack) for name, pack in packs.items()}
