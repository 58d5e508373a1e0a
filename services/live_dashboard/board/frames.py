"""The board as JSON: whole, for whoever opens the page, and what has changed, for whoever has it open."""

from __future__ import annotations

import msgspec

from device_bridge import CommandSpec, Value

from .board import Board
from .buckets import rank_of
from .events import Event
from .sources import LiveQuantity, Source


class QuantityView(msgspec.Struct):
    """A quantity with its latest reading."""

    id: int
    name: str
    unit: str
    value: Value | None
    quality: str
    reason: str
    time: float
    trail: list[tuple[float, float | None]]


class SourceView(msgspec.Struct):
    """A source, without what changes with each message."""

    id: int
    name: str
    publisher: str
    service: str
    version: str
    microservice: str
    state: str
    reason: str
    refused: str
    since: float
    commands: tuple[CommandSpec, ...]
    position: tuple[int, int] | None
    track: list[tuple[float, float, float]]
    quantities: list[QuantityView] | None = None


class AccountRow(msgspec.Struct, array_like=True):
    """Accounting of a source: its id, time of its last message, messages a second, and counts."""

    source: int
    last: float
    rate: float
    received: int
    missing: int
    duplicates: int
    late: int
    runs: int


class ReadingRow(msgspec.Struct, array_like=True):
    """A reading: id of its quantity, value, rank of its quality (0 good to 3 bad), time, reason."""

    quantity: int
    value: Value | None
    rank: int
    time: float
    reason: str


class Frame(msgspec.Struct, omit_defaults=True):
    """What has changed.

    Parameters:
        now: seconds since 1970, by which ages are counted.
        revision: of the board.
        link: whether the node is connected, and if not why; None while that has not changed.
        sources: new or changed, with all quantities where there are new ones.
        readings: changed.
        accounts: of all sources, once a second.
        events: new or counted up.
    """

    now: float
    revision: int
    link: tuple[bool, str] | None = None
    sources: list[SourceView] = []
    readings: list[ReadingRow] = []
    accounts: list[AccountRow] = []
    events: list[Event] = []
    forgotten: list[int] = []


def source_view(source: Source, *, whole: bool) -> SourceView:
    """A source for the page; `whole` with its quantities."""
    said = source.announcement
    position = source.position
    state = "silent" if source.silent else "failing" if source.failing else "ok"
    return SourceView(
        id=source.id,
        name=source.name,
        publisher=source.publisher,
        service=said.service if said else "",
        version=said.version if said else "",
        microservice=said.microservice if said else "",
        state=state,
        reason="nothing received any more" if source.silent else source.failing,
        refused=said.refused if said else "",
        since=source.since,
        commands=said.commands if said else (),
        position=(position[0].id, position[1].id) if position else None,
        track=list(source.track) if position else [],
        quantities=[quantity_view(one) for one in source.quantities.values()] if whole else None,
    )


def quantity_view(quantity: LiveQuantity) -> QuantityView:
    """A quantity for the page."""
    return QuantityView(
        quantity.id,
        quantity.name,
        quantity.unit,
        quantity.value,
        quantity.quality.value,
        quantity.reason,
        quantity.time,
        quantity.trail.points(),
    )


def reading_row(quantity: LiveQuantity) -> ReadingRow:
    """A reading for a frame."""
    return ReadingRow(quantity.id, quantity.value, rank_of(quantity.quality), quantity.time, quantity.reason)


def account_row(source: Source, now: float) -> AccountRow:
    """Accounting of a source for a frame."""
    account = source.account
    return AccountRow(
        source.id,
        source.pulse.last,
        round(account.rate(now), 2),
        account.received,
        account.missing,
        account.duplicates,
        account.late,
        account.runs,
    )


def snapshot(board: Board, now: float) -> Frame:
    """Everything."""
    return Frame(
        now=now,
        revision=board.revision,
        sources=[source_view(source, whole=True) for source in board.sources.values()],
        accounts=[account_row(source, now) for source in board.sources.values()],
        events=board.events.since(-1),
    )


def changes(board: Board, since: int, now: float, *, accounts: bool) -> Frame:
    """What has changed since a revision.

    Parameters:
        since: revision of the frame before.
        now: seconds since 1970.
        accounts: whether accounting is to go with it.
    """
    sources = board.sources.values()
    return Frame(
        now=now,
        revision=board.revision,
        sources=[source_view(source, whole=True) for source in sources if source.revision > since],
        readings=[
            reading_row(quantity)
            for source in sources
            if source.revision <= since
            for quantity in source.quantities.values()
            if quantity.revision > since
        ],
        accounts=[account_row(source, now) for source in sources] if accounts else [],
        events=board.events.since(since),
        forgotten=board.forgotten_since(since),
    )
