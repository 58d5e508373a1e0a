"""The event log: what happened to sources, newest last, bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal

import msgspec

Kind = Literal[
    "new",
    "restart",
    "gone",
    "back",
    "silent",
    "heard",
    "gap",
    "late",
    "duplicate",
    "refused",
    "accepted",
    "command",
    "failed",
    "malformed",
    "limit",
    "page",
]

_MERGE_S = 10.0
_MAX_TEXT = 400


class Event(msgspec.Struct):
    """One thing that happened, or several of the same kind in a row.

    Parameters:
        id: counted up; an event that changes keeps its own.
        time: of the last of them, seconds since 1970.
        kind: a word of `Kind`.
        source: name of the source, "" for the page itself.
        text: for people.
        count: how often.
        revision: of the board, when it changed last.
    """

    id: int
    time: float
    kind: str
    source: str
    text: str
    count: int = 1
    revision: int = 0


class EventLog:
    """Keeps the newest events; the same again within ten seconds is counted, not repeated.

    Parameters:
        size: most events.
        kept: from before.
    """

    def __init__(self, size: int = 500, kept: Iterable[Event] = ()) -> None:
        self._events: deque[Event] = deque(kept, maxlen=size)
        self._last: dict[tuple[str, str], Event] = {}
        self._next_id = max((event.id for event in self._events), default=0) + 1

    def add(self, kind: Kind, source: str, text: str, now: float, revision: int) -> None:
        """Puts one in."""
        text = text[:_MAX_TEXT]
        last = self._last.get((kind, source))
        if last is not None and now - last.time < _MERGE_S and self._events and last.id >= self._events[0].id:
            last.time, last.text, last.count, last.revision = now, text, last.count + 1, revision
            return
        event = Event(self._next_id, now, kind, source, text, revision=revision)
        self._next_id += 1
        if len(self._last) >= 4 * (self._events.maxlen or 1):
            self._last.clear()
        self._last[kind, source] = event
        self._events.append(event)

    def since(self, revision: int) -> list[Event]:
        """Those that have come or changed after this revision, oldest first."""
        return [event for event in self._events if event.revision > revision]

    def __len__(self) -> int:
        return len(self._events)
