"""Takes up what version 0.1.0 has left in its SQLite file, `NAME.outbox.db` beside the folder `NAME.outbox`."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...clocks import Clocks
from ..entry import Entry, StoreError

log = logging.getLogger("device_bridge")

_APPLICATION_ID = 0x494F4246
_GROUP = 500
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


def import_database(file: Path, add: Callable[[list[Entry]], None], clocks: Clocks) -> None:
    """Moves its messages over by groups, and removes it. One that is damaged or of another program is kept.

    Parameters:
        file: the database.
        add: keeps some entries safe; it numbers them.
        clocks: to tell how long they have waited.

    Raises StoreError while another process uses it.
    """
    database = sqlite3.connect(file, timeout=1.0, isolation_level=None)
    moved = 0
    try:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        (application,) = database.execute("PRAGMA application_id").fetchone()
        if application != _APPLICATION_ID:
            log.warning("%s is not an outbox and is left alone", file)
            return
        database.execute("BEGIN IMMEDIATE")
        database.execute("COMMIT")
        query = "SELECT number, readings, put_at, crc, clock, body FROM entry ORDER BY number LIMIT ?"
        while rows := database.execute(query, (_GROUP,)).fetchall():
            entries = [entry for row in rows if (entry := _to_entry(file, row, clocks)) is not None]
            add(entries)
            database.execute("DELETE FROM entry WHERE number <= ?", (rows[-1][0],))
            moved += len(entries)
    except (sqlite3.Error, UnicodeError) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:
            raise StoreError(f"{file}: {error}") from None
        database.close()
        aside = file.with_name(f"{file.name}.set-aside")
        file.replace(aside)
        log.error("%s is damaged (%s); it is kept as %s", file, error, aside.name)
        return
    finally:
        database.close()
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    log.info("%s: %d messages of the version before are taken over", file, moved)


def _to_entry(file: Path, row: tuple[Any, ...], clocks: Clocks) -> Entry | None:
    number, readings, put_at, crc, clock, body = row
    with contextlib.suppress(TypeError):
        if zlib.crc32(body, readings & 0xFFFFFFFF) == crc:
            since = clocks.since_boot() - max(0.0, clocks.wall() - put_at)
            return Entry(0, body, readings, since, clock if isinstance(clock, str) else "", put_at)
    log.error("%s: message %s is damaged and left out", file, number)
    return None
