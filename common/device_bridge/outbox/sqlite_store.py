"""The outbox's file: an SQLite database in WAL mode, written by groups.

Chosen for what its users would otherwise have to trust us for: atomic commits, recovery after a power cut, and a
file that any tool can open. Every row carries a CRC-32, because SQLite does not notice a flipped bit in content.

All calls block. The outbox makes them in one worker thread, so that a slow card never holds up a device.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from .entry import Entry, StoreDamaged, StoreError

log = logging.getLogger("device_bridge")

_APPLICATION_ID = 0x494F4246
"""`IOBF`: marks our file among SQLite databases."""
_LAYOUT = 1
_PAGE_SIZE = 4096
_CHECKPOINT_PAGES = 256
"""1 MiB of log before it is folded into the database: each fold writes and syncs, a longer log only takes space."""


class Stored(NamedTuple):
    """What a file holds."""

    first: int
    last: int
    messages: int
    readings: int
    size: int
    oldest: float


_FAILURES = (sqlite3.Error, UnicodeError)
"""UnicodeError: a damaged file can make SQLite's own message undecodable."""
_PASSING = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
    )
)
"""Failures that say nothing about the file itself. Any other means that it is damaged, or is not ours."""


def _may_pass(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _PASSING


class Page(NamedTuple):
    """Some entries in order, and how many among them were damaged."""

    entries: list[Entry]
    last: int
    damaged_messages: int
    damaged_readings: int


class Store:
    """Entries on disk, oldest first.

    Parameters:
        file: path of the database; its folder is made when missing.
        sync: `normal` loses the last commits in a power cut but never damages the file; `full` loses nothing.

    Raises StoreError. A file that is damaged, or not ours, is renamed, never deleted, and a new one begun.
    """

    def __init__(self, file: Path, sync: Literal["normal", "full"] = "normal") -> None:
        self.file = file
        self._sync = sync
        self._database: sqlite3.Connection | None = None

    def open(self) -> Stored:
        """Opens or creates the file; returns what it holds from earlier runs."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            return self._open()
        except OSError as error:
            raise StoreError(f"{self.file.parent}: {error.strerror}") from None
        except _FAILURES as error:
            if _may_pass(error):
                self.close()
                raise StoreError(f"{self.file}: {error}") from None
            self._set_aside(str(error))
        try:
            return self._open()
        except _FAILURES as error:
            self.close()
            raise StoreError(f"{self.file}: {error}") from None

    def commit(self, added: Iterable[Entry], acknowledged: int, dropped: Iterable[tuple[int, int]] = ()) -> None:
        """Adds entries and forgets others, all or nothing.

        Parameters:
            added: new entries, in order.
            acknowledged: every entry up to this number is forgotten.
            dropped: ranges of numbers, both ends included, that are forgotten too.
        """
        rows = [
            (e.number, e.readings, e.put_at, zlib.crc32(e.body, _checked(e.readings)), e.clock, e.body) for e in added
        ]
        database = self._usable()
        try:
            with database:
                database.execute("BEGIN IMMEDIATE")
                database.execute("DELETE FROM entry WHERE number <= ?", (acknowledged,))
                database.executemany("DELETE FROM entry WHERE number BETWEEN ? AND ?", dropped)
                database.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?)", rows)
        except _FAILURES as error:
            raise self._failed(error) from None

    def load(self, after: int, limit: int) -> Page:
        """The next entries behind a number; damaged ones are left out and counted."""
        query = (
            "SELECT number, readings, put_at, crc, clock, body FROM entry WHERE number > ? ORDER BY number LIMIT ?"
        )
        try:
            rows = self._usable().execute(query, (after, limit)).fetchall()
        except _FAILURES as error:
            raise self._failed(error) from None
        entries, damaged_messages, damaged_readings = [], 0, 0
        for number, readings, put_at, crc, clock, body in rows:
            if isinstance(body, bytes) and zlib.crc32(body, _checked(readings)) == crc:
                entries.append(Entry(number, body, readings, put_at, clock))
            else:
                damaged_messages += 1
                damaged_readings += readings if isinstance(readings, int) else 0
                log.error("%s: message %d is damaged and left out", self.file, number)
        last = rows[-1][0] if rows else after
        return Page(entries, last, damaged_messages, damaged_readings)

    def close(self) -> None:
        """Closes the file; harmless when it is not open."""
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(sqlite3.Error):
                database.close()

    def _failed(self, error: Exception) -> StoreError:
        if _may_pass(error):
            return StoreError(f"{self.file}: {error}")
        self._set_aside(str(error))
        return StoreDamaged(f"{self.file}: {error}")

    def _usable(self) -> sqlite3.Connection:
        if self._database is None:
            self.open()
        assert self._database is not None  # noqa: S101 - open() set it or raised
        return self._database

    def _open(self) -> Stored:
        database = sqlite3.connect(self.file, timeout=1.0, isolation_level=None, check_same_thread=False)
        self._database = database
        database.execute("PRAGMA locking_mode = EXCLUSIVE")  # one process, and no shared-memory file
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and application != _APPLICATION_ID:
            raise sqlite3.DatabaseError("it belongs to another program")
        (layout,) = database.execute("PRAGMA user_version").fetchone()
        if tables and layout != _LAYOUT:
            raise sqlite3.DatabaseError(f"its layout is {layout}, this program writes {_LAYOUT}")
        if not tables:
            database.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {self._sync}")
        database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        database.execute(f"PRAGMA journal_size_limit = {4 * _CHECKPOINT_PAGES * _PAGE_SIZE}")
        database.execute("PRAGMA cache_size = -256")  # KiB: rows are read once, in order
        if not tables:
            with database:
                database.execute("BEGIN IMMEDIATE")
                database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {_LAYOUT}")
                database.execute(
                    "CREATE TABLE entry (number INTEGER PRIMARY KEY, readings INTEGER NOT NULL, "
                    "put_at REAL NOT NULL, crc INTEGER NOT NULL, clock TEXT NOT NULL, body BLOB NOT NULL)"
                )
        (check,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if check != "ok":
            raise sqlite3.DatabaseError(check)
        query = (
            "SELECT coalesce(min(number), 0), coalesce(max(number), 0), count(*), coalesce(sum(readings), 0), "
            "coalesce(sum(length(body)), 0), coalesce(min(put_at), 0) FROM entry"
        )
        return Stored(*database.execute(query).fetchone())

    def _set_aside(self, why: str) -> None:
        self.close()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f"-{time.time_ns() % 1_000_000:06d}"
        aside = self.file.with_name(f"{self.file.name}.set-aside-{stamp}")
        for suffix in ("", "-wal", "-journal"):
            source = self.file.with_name(self.file.name + suffix)
            try:
                source.rename(aside.with_name(aside.name + suffix))
            except FileNotFoundError:
                continue
            except OSError as problem:
                raise StoreError(f"{self.file}: {why}, and cannot be renamed: {problem.strerror}") from None
        log.error("%s cannot be used (%s); it is kept as %s and a new file begun", self.file, why, aside)


def _checked(readings: int) -> int:
    """Starts a row's CRC with its count, so that a damaged count is noticed too."""
    return readings & 0xFFFFFFFF if isinstance(readings, int) else 0
