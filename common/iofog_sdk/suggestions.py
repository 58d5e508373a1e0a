"""What somebody may have meant who wrote a name that there is not."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 100


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`Did you mean X?` with the nearest known name, "" when none is near."""
    import difflib  # noqa: PLC0415 - needed to help once, not to run

    close = difflib.get_close_matches(name[:_LONGEST], list(known), n=1)
    return f"Did you mean {close[0]}?" if close else ""
