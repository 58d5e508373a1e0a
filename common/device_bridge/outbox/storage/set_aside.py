"""Damaged files are kept for people to look at, so many and no more."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from .disk import Disk

log = logging.getLogger("device_bridge")

MAX_FILES = 4
MAX_BYTES = 16 * 1024 * 1024
"""Of all that is kept; the newest file is kept whatever its size, as it is one of the outbox's own."""
_NAME = re.compile(r".*\.set-aside-(\d+)")


def choose_name(disk: Disk, file: Path) -> Path:
    """A name for a file that is to be set aside, in its own folder."""
    serials = [int(match[1]) for name in disk.names(file.parent) if (match := _NAME.fullmatch(name))]
    return file.with_name(f"{file.name}.set-aside-{max(serials, default=0) + 1}")


def remove_oldest(disk: Disk, folder: Path) -> None:
    """Removes the oldest set-aside files beyond the bounds. Raises OSError."""
    kept = [(int(match[1]), name) for name in disk.names(folder) if (match := _NAME.fullmatch(name))]
    total = 0
    for number, (_, name) in enumerate(sorted(kept, reverse=True)):
        total += disk.size(folder / name)
        if number and (number >= MAX_FILES or total > MAX_BYTES):
            log.warning("%s removed: no more than %d damaged files are kept", folder / name, MAX_FILES)
            disk.remove(folder / name)
