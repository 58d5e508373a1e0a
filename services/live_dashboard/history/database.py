"""The history's tables in SQLite: three resolutions of every quantity, last readings, accounts, events. Blocking."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from device_bridge import Reading

from ..board import Bucket, BucketKey, Event, Kept

log = logging.getLogger("live_dashboard")

_VERSION = 1
_PAGE = 4096
_FULL = 0.9
"""Share of the bound from which the oldest is removed; the rest is room for what comes meanwhile."""
_SHORTER = 0.8
_DAY_S = 86_400


class Tier(NamedTuple):
    """One resolution.

    Parameters:
        step_s: length of an interval.
        keep_s: how long it is kept at most.
    """

    step_s: int
    keep_s: float


TIERS = (Tier(10, 3 * 3600), Tier(60, 2 * _DAY_S), Tier(900, 366 * _DAY_S))

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, publisher TEXT NOT NULL, source TEXT NOT NULL,
    name TEXT NOT NULL, interval REAL NOT NULL, reading BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS accounts (key TEXT PRIMARY KEY, kept BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, event BLOB NOT NULL);
""" + "".join(
    f"""CREATE TABLE IF NOT EXISTS points_{tier.step_s} (series INTEGER NOT NULL, start INTEGER NOT NULL,
    count INTEGER NOT NULL, total REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL, worst INTEGER NOT NULL,
    PRIMARY KEY (series, start)) WITHOUT ROWID;
"""
    for tier in TIERS
)

_MERGE = """INSERT INTO points_{} VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (series, start) DO UPDATE SET
    low = CASE WHEN count = 0 THEN excluded.low WHEN excluded.count = 0 THEN low ELSE min(low, excluded.low) END,
    high = CASE WHEN count = 0 THEN excluded.high WHEN excluded.count = 0 THEN high ELSE max(high, excluded.high) END,
    count = count + excluded.count, total = total + excluded.total, worst = max(worst, excluded.worst)"""

Row = tuple[int, int, float, float, float, int]
"""Start, count, total, low, high, worst."""


class KeptQuantity(NamedTuple):
    """A quantity as it was last."""

    id: int
    publisher: str
    source: str
    interval: float
    reading: Reading


class Remembered(NamedTuple):
    """What was known before a restart."""

    quantities: list[KeptQuantity]
    accounts: dict[str, Kept]
    events: list[Event]


class Database:
    """One file, or memory.

    Parameters:
        file: None for memory.
        max_bytes: of the file.
        days: kept at most.
    """

    def __init__(self, file: Path | None, max_bytes: int, days: int) -> None:
        self._file, self._max_bytes, self._keep_s = file, max_bytes, days * _DAY_S
        self._shortened, self._problem = 1.0, ""
        self.dropped = 0
        """Stretches that could not be written."""
        self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        if self._file is None:
            return self._prepare(":memory:")
        try:
            return self._prepare(str(self._file))
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "file is not a database" not in str(error):
                raise
            damaged = self._file.with_suffix(".damaged")
            log.warning(
                "the history %s cannot be read (%s); it is now %s, and begins again", self._file, error, damaged
            )
            self._file.replace(damaged)
            for suffix in ("-wal", "-shm"):
                Path(f"{self._file}{suffix}").unlink(missing_ok=True)
            return self._prepare(str(self._file))

    def _prepare(self, name: str) -> sqlite3.Connection:
        connection = sqlite3.connect(name, check_same_thread=False, timeout=5)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA journal_size_limit = {self._max_bytes // 16}")
            connection.execute(f"PRAGMA max_page_count = {self._max_bytes // _PAGE}")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"of version {version}, this is {_VERSION}")
            connection.executescript(_SCHEMA + f"PRAGMA user_version = {_VERSION};")
            connection.execute("SELECT count(*) FROM series").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Ends it."""
        self._connection.close()

    def recall(self) -> Remembered:
        """What was known before a restart; what cannot be read is left out."""
        rows = self._connection.execute("SELECT id, publisher, source, interval, reading FROM series ORDER BY id")
        quantities, accounts, events = [], {}, []
        for id_, publisher, source, interval, reading in rows:
            with contextlib.suppress(msgspec.DecodeError):
                known = msgspec.msgpack.decode(reading, type=Reading)
                quantities.append(KeptQuantity(id_, publisher, source, interval, known))
        for key, kept in self._connection.execute("SELECT key, kept FROM accounts"):
            with contextlib.suppress(msgspec.DecodeError):
                accounts[key] = msgspec.msgpack.decode(kept, type=Kept)
        for (event,) in self._connection.execute("SELECT event FROM events ORDER BY id DESC LIMIT 500"):
            with contextlib.suppress(msgspec.DecodeError):
                events.append(msgspec.msgpack.decode(event, type=Event))
        return Remembered(quantities, accounts, events[::-1])

    def write(
        self,
        buckets: Mapping[BucketKey, Bucket],
        quantities: Iterable[KeptQuantity],
        accounts: Mapping[str, Kept],
        events: Iterable[Event],
        now: float,
    ) -> None:
        """Merges everything in, in one transaction; what finds no room is counted in `dropped`."""
        try:
            self._write(buckets, quantities, accounts, events)
        except sqlite3.Error as error:
            self._report(error)
            self.dropped += len(buckets)
        else:
            self._problem = ""
        try:
            self._make_room(now)
        except sqlite3.Error as error:
            self._report(error)

    def _report(self, error: sqlite3.Error) -> None:
        if str(error) != self._problem:
            self._problem = str(error)
            log.warning("the history cannot be written: %s", error)

    def _write(
        self,
        buckets: Mapping[BucketKey, Bucket],
        quantities: Iterable[KeptQuantity],
        accounts: Mapping[str, Kept],
        events: Iterable[Event],
    ) -> None:
        with self._connection as connection:
            for tier in TIERS:
                connection.executemany(
                    _MERGE.format(tier.step_s),
                    [
                        (
                            key.quantity,
                            key.start // tier.step_s * tier.step_s,
                            b.count,
                            b.total,
                            b.low,
                            b.high,
                            b.worst,
                        )
                        for key, b in buckets.items()
                    ],
                )
            connection.executemany(
                "INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        one.id,
                        one.publisher,
                        one.source,
                        one.reading.name,
                        one.interval,
                        msgspec.msgpack.encode(one.reading),
                    )
                    for one in quantities
                ],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO accounts VALUES (?, ?)",
                [(key, msgspec.msgpack.encode(kept)) for key, kept in accounts.items()],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO events VALUES (?, ?)",
                [(event.id, msgspec.msgpack.encode(event)) for event in events],
            )
            connection.execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - 500")

    def rows(self, series: int, tier: Tier, start: float, end: float) -> list[Row]:
        """Stretches of one quantity, in order."""
        found: list[Row] = self._connection.execute(
            f"SELECT start, count, total, low, high, worst FROM points_{tier.step_s}"  # noqa: S608 - of TIERS
            " WHERE series = ? AND start >= ? AND start < ? ORDER BY start",
            (series, int(start), int(end)),
        ).fetchall()
        return found

    def forget(self, series: Iterable[int], account: str) -> None:
        """Removes quantities with all that is kept of them, and an account if it is named."""
        with self._connection as connection:
            for id_ in series:
                for tier in TIERS:
                    connection.execute(f"DELETE FROM points_{tier.step_s} WHERE series = ?", (id_,))  # noqa: S608
                connection.execute("DELETE FROM series WHERE id = ?", (id_,))
            if account:
                connection.execute("DELETE FROM accounts WHERE key = ?", (account,))

    @property
    def used_bytes(self) -> int:
        """Of pages that hold something."""
        used = self._pragma("page_count") - self._pragma("freelist_count")
        return used * _PAGE

    @property
    def reach_s(self) -> float:
        """How far back it goes at most, as far as there is room."""
        return min(self._keep_s, TIERS[-1].keep_s) * self._shortened

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _make_room(self, now: float) -> None:
        """Removes what is too old, and the oldest of the rest while there is too much of it."""
        ids = [row[0] for row in self._connection.execute("SELECT id FROM series")]
        while True:
            for tier in TIERS:
                before = int(now - min(tier.keep_s, self._keep_s) * self._shortened)
                with self._connection as connection:
                    connection.executemany(
                        f"DELETE FROM points_{tier.step_s} WHERE series = ? AND start < ?",  # noqa: S608 - of TIERS
                        [(id_, before) for id_ in ids],
                    )
            if self.used_bytes <= _FULL * self._max_bytes or self._shortened < 1e-4:
                break
            self._shortened *= _SHORTER
        if self.used_bytes < _FULL * _SHORTER * self._max_bytes:
            self._shortened = min(1.0, self._shortened / _SHORTER)
