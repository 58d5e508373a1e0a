"""The history of a board: written now and then, asked by the page; the event loop never waits for the disk."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from device_bridge import Reading

from ..board import Board, Bucket, LiveQuantity, Source
from .database import TIERS, Database, KeptQuantity, Row, Tier

log = logging.getLogger("live_dashboard")

T = TypeVar("T")
_MOST_POINTS = 1500


class Series(msgspec.Struct):
    """The course of one quantity, in columns.

    Parameters:
        quantity: its id.
        step: length of the intervals in seconds; times are their starts.
        times: seconds since 1970.
        mean, low, high: of good and uncertain values; None where there was none.
        worst: rank of the worst quality: 0 good, 1 uncertain, 2 stale, 3 bad.
    """

    quantity: int
    step: int
    times: list[int]
    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]
    worst: list[int]


class History:
    """What a board was.

    Parameters:
        board: whose history it is.
        file: None keeps it in memory.
        max_bytes, days: bounds.
    """

    def __init__(self, board: Board, file: Path | None, max_bytes: int, days: int) -> None:
        self._board, self._days = board, days
        self._file, self._max_bytes = file, max_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._database: Database | None = None
        self._written = 0

    async def open(self, now: float) -> None:
        """Opens the file and puts into the board what was known; where there can be no file, it goes on in memory."""
        try:
            self._database = await self._in_thread(lambda: Database(self._file, self._max_bytes, self._days))
            known = await self._in_thread(self._database.recall)
        except (OSError, sqlite3.Error) as error:
            text = f"the history cannot be kept in {self._file}: {error}; it goes on in memory"
            log.error("%s", text)
            self._database = await self._in_thread(lambda: Database(None, self._max_bytes, self._days))
            self._board.add_event("limit", "", text, now)
            return
        board = self._board
        for key, kept in known.accounts.items():
            board.restore_account(key, kept)
        for one in known.quantities:
            board.restore(one.publisher, one.source, one.id, one.reading, one.interval)
        board.restore_events(known.events)
        self._written = board.revision

    async def close(self, now: float) -> None:
        """Writes the rest and closes."""
        database = self._database
        if database is not None:
            await self.write(now)
            self._database = None
            await self._in_thread(database.close)
        self._thread.shutdown(wait=False)

    async def write(self, now: float) -> None:
        """Writes what has changed since the last time."""
        if self._database is None:
            return
        board, since = self._board, self._written
        self._written = board.revision
        quantities = [
            KeptQuantity(one.id, source.publisher, source.name, one.pulse.interval, _last(one))
            for source in board.sources.values()
            for one in source.quantities.values()
            if one.revision > since
        ]
        accounts = {key: account.kept() for key, account in board.accounts.items()}
        events = [msgspec.structs.replace(event) for event in board.events.since(since)]
        buckets = board.buckets.take()
        database = self._database
        await self._in_thread(lambda: database.write(buckets, quantities, accounts, events, now))

    async def series(self, quantity: int, start: float, end: float, now: float) -> Series:
        """The course of a quantity between two times, as fine as it is kept so far back."""
        assert self._database is not None  # noqa: S101 - served only while it is open
        tier = choose_tier(start, end, now)
        database = self._database
        first = start // tier.step_s * tier.step_s
        rows = await self._in_thread(lambda: database.rows(quantity, tier, first, end))
        return _columns(quantity, tier, rows, self._board.buckets.of(quantity, first, end))

    async def forget(self, source: Source) -> None:
        """Removes a source and all that is kept of it."""
        self._board.forget(source)
        key = source.publisher or source.name
        account = "" if key in self._board.accounts else key
        database, ids = self._database, [one.id for one in source.quantities.values()]
        if database is not None:
            await self._in_thread(lambda: database.forget(ids, account))

    @property
    def dropped(self) -> int:
        """Stretches that found no room."""
        return (self._database.dropped if self._database else 0) + self._board.buckets.dropped

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def choose_tier(start: float, end: float, now: float) -> Tier:
    """The resolution for a chart."""
    for tier in TIERS[:-1]:
        if (end - start) / tier.step_s <= _MOST_POINTS and now - start <= tier.keep_s:
            return tier
    return TIERS[-1]


def _last(quantity: LiveQuantity) -> Reading:
    return Reading(quantity.name, quantity.value, quantity.unit, quantity.time)


def _columns(quantity: int, tier: Tier, rows: list[Row], fresh: dict[int, Bucket]) -> Series:
    merged: dict[int, list[float]] = {row[0]: list(row[1:]) for row in rows}
    for start, bucket in fresh.items():
        at = start // tier.step_s * tier.step_s
        held = merged.get(at)
        if held is None:
            merged[at] = [bucket.count, bucket.total, bucket.low, bucket.high, bucket.worst]
            continue
        if bucket.count:
            held[2] = min(held[2], bucket.low) if held[0] else bucket.low
            held[3] = max(held[3], bucket.high) if held[0] else bucket.high
        held[0] += bucket.count
        held[1] += bucket.total
        held[4] = max(held[4], bucket.worst)
    series = Series(quantity, tier.step_s, [], [], [], [], [])
    for at in sorted(merged):
        count, total, low, high, worst = merged[at]
        series.times.append(at)
        series.mean.append(total / count if count else None)
        series.low.append(low if count else None)
        series.high.append(high if count else None)
        series.worst.append(int(worst))
    return series
