"""Which bridges a message has been through, so that none goes round. No I/O.

In ioFog the tag says it (`iofog_sdk.Address`), on a broker of MQTT 5 a user property.
"""

from __future__ import annotations

from collections.abc import Sequence

from iofog_sdk import address_of

VIA = "iofog-via"
"""User property with the names of bridges, the last one at the end, with commas between."""
MAX_HOPS = 8
"""Bridges that a message may have been through."""

Notes = tuple[tuple[str, str], ...]


def is_name(text: str) -> bool:
    """Whether a tag can carry it as the name of a bridge or microservice."""
    return bool(text) and address_of(f"for:{text}").recipient == text


def via_of(notes: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """What user properties say; anybody can write them, so what is no name is left out."""
    text = next((value for name, value in notes if name == VIA), "")
    return tuple(name for name in text.split(",") if is_name(name))[: MAX_HOPS + 1]


def notes_of(via: Sequence[str], name: str) -> Notes:
    """User properties for what goes on through this bridge."""
    return ((VIA, ",".join((*via, name))),)


def goes_round(via: Sequence[str], name: str) -> bool:
    """Whether a message has been through this bridge already, or through too many."""
    return name in via or len(via) >= MAX_HOPS
