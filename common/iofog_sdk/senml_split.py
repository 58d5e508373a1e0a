"""Splits a SenML pack (RFC 8428) into one for each quantity, for subjects and topics of their own."""

from __future__ import annotations

from typing import Any

import msgspec

_BASE = ("bn", "bt", "bu", "bv", "bs", "bver")
_UNSAFE = str.maketrans(dict.fromkeys(" .*>+#/", "-"))


def split_by_quantity(content: bytes) -> dict[str, bytes]:
    """Packs by the name of their quantity, in the order of its first record; what is no pack stays whole, named "".

    Each record carries its base fields, so that every pack stands by itself.
    """
    try:
        records = msgspec.json.decode(content, type=list[dict[str, Any]])
    except msgspec.DecodeError:
        return {"": content}
    base: dict[str, Any] = {}
    packs: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        base |= {key: record[key] for key in _BASE if key in record}
        name = str(record.get("n") or str(base.get("bn", "")).rstrip(":/.").rsplit(":", 1)[-1])
        pack = packs.setdefault(name.translate(_UNSAFE), [])
        pack.append(record if pack else base | record)
    if len(packs) <= 1:
        return dict.fromkeys(packs, content) or {"": content}
    return {name: msgspec.json.encode(pack) for name, pack in packs.items()}
