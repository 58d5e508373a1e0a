"""Totals that outlive devices, reloads and processes: a small JSON file, replaced as a whole."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from pathlib import Path

import msgspec

log = logging.getLogger("device_bridge")

_MAX_NAMES = 1000
_KEPT_DAMAGED = 3
"""Damaged files that are kept aside at most."""


class Totals:
    """Whole numbers by name, that only grow or are set.

    They belong to the process: a service finds them as they were after its device was reopened. What is counted
    before the file could be read is added to what the file holds.

    Parameters:
        file: where they are kept; None keeps them in memory only.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._stored: dict[str, int] | None = {} if file is None else None
        self._added: Counter[str] = Counter()
        self._is_saved = True
        self._lock = threading.Lock()
        self._problem = ""

    @property
    def has_changed(self) -> bool:
        """Whether there is something to save."""
        return self._file is not None and not self._is_saved

    def get(self, name: str) -> int:
        """A total."""
        with self._lock:
            return self._base().get(name, 0) + self._added[name]

    def add(self, name: str, count: int) -> int:
        """A total, increased by so many."""
        with self._lock:
            if name in self._added or len(self._added) < _MAX_NAMES:
                self._added[name] += count
                self._is_saved = self._is_saved and not count
            return self._base().get(name, 0) + self._added[name]

    def set(self, name: str, total: int) -> None:
        """Makes a total this number."""
        self.add(name, total - self.get(name))

    def save(self) -> None:
        """Writes what has changed, so that a power cut leaves the old file or the new one. Never raises.

        May be called in another thread; what is counted meanwhile is saved the next time.
        """
        if self._file is None or not self.has_changed:
            return
        with self._lock:
            base, added = self._base(), self._added.copy()
            if self._stored is None:
                return  # written now, it would replace totals that could not be read
            self._is_saved = True
        totals = {name: base.get(name, 0) + added[name] for name in {*base, *added}}
        new = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with open(new, "wb", opener=_private) as stream:
                stream.write(msgspec.json.encode(totals))
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(self._file)
        except OSError as error:
            self._is_saved = False
            self._report(f"totals cannot be saved: {error}")
            return
        with self._lock:
            self._stored, self._problem = totals, ""
            self._added.subtract(added)

    def _base(self) -> dict[str, int]:
        """What the file held when it was last read or written; nothing while it cannot be read."""
        if self._stored is None and self._file is not None:
            try:
                self._stored = msgspec.json.decode(self._file.read_bytes(), type=dict[str, int])
            except FileNotFoundError:
                self._stored = {}
            except msgspec.MsgspecError as error:
                self._stored = {}
                self._set_aside(self._file, str(error))
            except OSError as error:
                self._report(f"totals in {self._file} cannot be read now ({error}); they are tried again")
        return self._stored or {}

    def _set_aside(self, file: Path, reason: str) -> None:
        kept = next(
            (name for at in range(_KEPT_DAMAGED) if not (name := file.with_suffix(f".damaged{at}")).exists()), None
        )
        where = f"the file is kept as {kept}" if kept else "the file is replaced, as others are kept already"
        log.error("totals in %s are damaged (%s); they begin at 0, %s", file, reason, where)
        if kept is not None:
            try:
                file.replace(kept)
            except OSError as error:
                log.error("%s cannot be kept: %s", file, error)

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            log.error("%s", problem)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
