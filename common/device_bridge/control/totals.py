"""Totals that outlive devices, reloads and processes: a small JSON file, replaced as a whole."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import zlib
from pathlib import Path
from typing import NamedTuple

import msgspec

from iofog_sdk.messages import decode_json

log = logging.getLogger("device_bridge")

_MAX_NAMES = 1000
_MAX_FILE_BYTES = 1024 * 1024
_KEPT_DAMAGED = 3
"""Damaged files that are kept aside at most."""
_AS_BLANKS = bytes.maketrans(b"01", b" \t")


class _Change(NamedTuple):
    """What has been done to a total: set to `start` if that is not None, then increased."""

    start: int | None = None
    added: int = 0

    def of(self, total: int) -> int:
        return (total if self.start is None else self.start) + self.added

    def then(self, later: _Change) -> _Change:
        return later if later.start is not None else _Change(self.start, self.added + later.added)


class Totals:
    """Whole numbers by name, that only grow or are set.

    They belong to the process: a service finds them as they were after its device was reopened. Changes are held
    apart from what the file held, and it is read again each time before it is written: what is counted while it
    cannot be read or written, and what another process has written meanwhile, is part of the total.

    Parameters:
        file: where they are kept; None keeps them in memory only.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._stored: dict[str, int] | None = {} if file is None else None
        self._is_loaded = file is None
        self._changes: dict[str, _Change] = {}
        self._being_saved: dict[str, _Change] = {}
        self._lock, self._saving = threading.Lock(), threading.Lock()
        self._problem = ""
        self._is_full = False

    @property
    def is_complete(self) -> bool:
        """Whether what earlier runs have counted is part of them; not so while the file cannot be read."""
        return self._stored is not None

    @property
    def has_changed(self) -> bool:
        """Whether there is something to save."""
        return self._file is not None and bool(self._changes)

    def get(self, name: str) -> int:
        """A total."""
        with self._lock:
            return self._get(name)

    def _get(self, name: str) -> int:
        if not self._is_loaded:
            self._read()
        unchanged = _Change()
        total = (self._stored or {}).get(name, 0)
        return self._changes.get(name, unchanged).of(self._being_saved.get(name, unchanged).of(total))

    def add(self, name: str, count: int) -> int:
        """A total, increased by so many."""
        with self._lock:
            if count:
                self._change(name, _Change(added=count))
            return self._get(name)

    def set(self, name: str, total: int) -> None:
        """Makes a total this number."""
        with self._lock:
            if self._stored is None or self._get(name) != total:
                self._change(name, _Change(start=total))

    def _change(self, name: str, change: _Change) -> None:
        before = self._changes.get(name)
        known = self._changes if before else {*(self._stored or ()), *self._being_saved, *self._changes}
        if name not in known and len(known) >= _MAX_NAMES:
            if not self._is_full:
                log.error("there are %d totals already; %s and other new ones are not counted", _MAX_NAMES, name)
            self._is_full = True
            return
        self._changes[name] = before.then(change) if before else change

    def load(self) -> None:
        """Reads what earlier runs have left, unless that is known. Never raises; may be called in another thread."""
        with self._lock:
            if self._stored is None:
                self._read()

    def save(self) -> None:
        """Writes what has changed, so that a power cut leaves the old file or the new one. Never raises.

        May be called in another thread; what is counted meanwhile is saved the next time.
        """
        if self.is_complete and not self.has_changed:
            return
        with self._saving:
            with self._lock:
                self._read()
                if self._file is None or self._stored is None or not self._changes:
                    return  # written now, it would replace totals that could not be read
                self._being_saved, self._changes = self._changes, {}
                totals = dict(self._stored)
            for name, change in self._being_saved.items():
                totals[name] = change.of(totals.get(name, 0))
            saved = self._write(self._file, totals)
            with self._lock:
                if saved:
                    self._stored, self._problem = totals, ""
                else:
                    for name, change in self._being_saved.items():
                        self._changes[name] = change.then(self._changes.get(name, _Change()))
                self._being_saved = {}

    def _write(self, file: Path, totals: dict[str, int]) -> bool:
        new = file.with_suffix(".new")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with open(new, "wb", opener=_private) as stream:
                content = msgspec.json.encode(totals)
                stream.write(content + _checksum_of(content))
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(file)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink()
            self._report(f"totals cannot be saved: {error}")
            return False
        return True

    def _read(self) -> None:
        """What the file holds, if it can be read now; else what was known before stays."""
        if self._file is None:
            return
        self._is_loaded = True
        try:
            with open(self._file, "rb") as stream:
                self._stored = _decode(stream.read(_MAX_FILE_BYTES))
        except FileNotFoundError:
            self._stored = self._stored or {}
        except ValueError as error:
            self._set_aside(self._file, str(error))
            self._stored = self._stored or {}
        except OSError as error:
            self._report(f"totals in {self._file} cannot be read now ({error}); they are tried again")

    def _set_aside(self, file: Path, reason: str) -> None:
        kept = next(
            (name for at in range(_KEPT_DAMAGED) if not (name := file.with_suffix(f".damaged{at}")).exists()), None
        )
        where = f"the file is kept as {kept}" if kept else "the file is replaced, as others are kept already"
        begin = "begin at 0" if self._stored is None else "go on as they were last written"
        log.error("totals in %s are damaged (%s); they %s, %s", file, reason, begin, where)
        if kept is not None:
            try:
                file.replace(kept)
            except OSError as error:
                log.error("%s cannot be kept: %s", file, error)

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            log.error("%s", problem)


def _decode(data: bytes) -> dict[str, int]:
    """Totals of a file, also of one without a checksum. Raises ValueError."""
    content = data.rstrip()
    checksum = _checksum_of(content)
    if len(data) == len(content) + len(checksum) and not data.endswith(checksum):
        raise ValueError("the checksum is wrong")
    return decode_json(content, dict[str, int])


def _checksum_of(content: bytes) -> bytes:
    """CRC-32 in blanks and tabs behind the JSON, which version 0.1.0 passes over and does not write."""
    return format(zlib.crc32(content), "032b").encode().translate(_AS_BLANKS)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
