"""Totals of counters that outlive the process: a small JSON file, replaced as a whole."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

log = logging.getLogger("digital_inputs")


class Totals:
    """Totals by name.

    Parameters:
        file: where they are kept; None keeps them in memory only.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._counts: dict[str, int] = {}
        self._saved: dict[str, int] = {}
        if file is None:
            log.info("totals begin at 0 at each start; name a folder in state_directory or STATE_DIRECTORY")
            return
        try:
            self._counts = msgspec.json.decode(file.read_bytes(), type=dict[str, int])
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as error:
            spoilt = file.with_suffix(".spoilt")
            log.error(
                "totals in %s cannot be read (%s); they begin at 0, the file is kept as %s", file, error, spoilt
            )
            file.replace(spoilt)
        self._saved = dict(self._counts)

    def get(self, name: str) -> int:
        """A total."""
        return self._counts.get(name, 0)

    def add(self, name: str, count: int) -> int:
        """A total, with so many more."""
        self._counts[name] = total = self._counts.get(name, 0) + count
        return total

    def save(self) -> None:
        """Writes what has changed, so that a power cut leaves the old file or the new one. Never raises."""
        if self._file is None or self._counts == self._saved:
            return
        new = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with new.open("wb") as stream:
                stream.write(msgspec.json.encode(self._counts))
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(self._file)
        except OSError as error:
            log.error("totals cannot be saved: %s", error)
            return
        self._saved = dict(self._counts)
