"""How much has been written, kept apart from what has been written: what is missing at the end is known by it.

Two places are written in turn, so that one is whole whatever happens while the other is written.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from .disk import Disk, DiskFile
from .records import Progress

_PLACE = struct.Struct(">QQQQ36s")
_CRC = struct.Struct(">I")
_PLACE_SIZE = _PLACE.size + _CRC.size
NAME = "state"


class Written(NamedTuple):
    """What has been written.

    Parameters:
        commits: how often.
        last: number of the last message.
        total: readings in all messages.
        acknowledged: messages up to this number are done with.
        boot: in which that was.
    """

    commits: int = 0
    last: int = 0
    total: int = 0
    acknowledged: int = 0
    boot: str = ""


class StateFile:
    """The file; opened, or made, when it is first used. Its methods raise OSError."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._path, self._disk = folder / NAME, disk
        self._file: DiskFile | None = None
        self._commits = 0

    def read(self) -> Written:
        """The newest statement that is whole; one of nothing where there is none."""
        try:
            file = self._open()
        except FileNotFoundError:
            return Written()
        newest = Written()
        for place in range(2):
            data = file.read(_PLACE_SIZE, place * _PLACE_SIZE)
            if len(data) == _PLACE_SIZE and zlib.crc32(data[: _PLACE.size]) == _CRC.unpack(data[_PLACE.size :])[0]:
                commits, last, total, acknowledged, boot = _PLACE.unpack(data[: _PLACE.size])
                name = boot.rstrip(b"\0").decode("utf-8", "replace")
                newest = max(newest, Written(commits, last, total, acknowledged, name))
        self._commits = newest.commits
        return newest

    def write(self, progress: Progress, boot: str, *, sync: bool = False) -> None:
        """States what has been written."""
        try:
            file = self._open()
        except FileNotFoundError:
            file = self._file = self._disk.create(self._path)
        self._commits += 1
        data = _PLACE.pack(self._commits, *progress[:3], boot.encode()[:36])
        file.write(data + _CRC.pack(zlib.crc32(data)), self._commits % 2 * _PLACE_SIZE)
        if sync:
            file.sync()

    def is_in_place(self) -> bool:
        """Whether the name leads to the file."""
        return self._file is None or self._file.is_in_place()

    def remove(self) -> None:
        """Removes the file: nothing is to be found any more."""
        self.close()
        self._disk.remove(self._path)

    def close(self) -> None:
        """Closes the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self) -> DiskFile:
        if self._file is None:
            self._file = self._disk.open(self._path)
        return self._file
