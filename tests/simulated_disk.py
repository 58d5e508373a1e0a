"""A disk in memory for the outbox, which can be full, break, lose power or have its files taken away at any call.

What was written and not synced is lost in a power cut, or is there in part. On a movable clock a whole outbox runs
the same each time, for what would run in a thread is carried out on the loop.
"""

from __future__ import annotations

import errno
import random
from pathlib import Path
from typing import Any

from device_bridge.outbox.storage.disk import Disk

BLOCK = 512


class Killed(BaseException):
    """The process was killed within this call."""


class _Content:
    def __init__(self) -> None:
        self.data = bytearray()
        self.synced = b""


class SimulatedFile:
    """An open file."""

    def __init__(self, disk: SimulatedDisk, path: Path, content: _Content) -> None:
        self._disk, self.path, self._content = disk, path, content
        self._life = disk.life
        disk.handles += 1

    def _call(self, name: str) -> None:
        assert self._life == self._disk.life, "a file of a process that has ended"
        self._disk.call(name, self.path)

    def write(self, data: bytes, at: int) -> None:
        content = self._content.data
        if at > len(content):
            content += bytes(at - len(content))
        used = sum(len(each.data) for each in self._disk.files.values())
        fits = min(len(data), max(0, self._disk.capacity - used + len(content) - at))
        try:
            self._call("write")
        except BaseException:
            content[at : at + fits] = data[: self._disk.rng.randint(0, fits)]
            raise
        content[at : at + fits] = data[:fits]
        self._disk.written += fits
        if fits < len(data):
            raise OSError(errno.ENOSPC, "No space left on device", str(self.path))

    def read(self, size: int, at: int) -> bytes:
        self._call("read")
        if self._disk.read_error is not None:
            raise self._disk.read_error
        return bytes(self._content.data[at : at + size])

    def size(self) -> int:
        return len(self._content.data)

    def truncate(self, size: int) -> None:
        self._call("truncate")
        del self._content.data[size:]

    def sync(self) -> None:
        self._call("sync")
        self._content.synced = bytes(self._content.data)

    def is_in_place(self) -> bool:
        return self._disk.files.get(self.path) is self._content

    def close(self) -> None:
        if self._life == self._disk.life:
            self._disk.handles -= 1


class SimulatedDisk(Disk):
    """The disk; `faults` are raised by its next calls, one after another, None for one that works.

    Parameters:
        seed: of what is left of a write that fails.
    """

    def __init__(self, seed: int = 0) -> None:
        self.files: dict[Path, _Content] = {}
        self.capacity = 1 << 40
        self.faults: list[BaseException | None] = []
        self.read_error: OSError | None = None
        self.calls = 0
        self.written = 0
        self.handles = 0
        self.life = 0
        self.rng = random.Random(seed)
        self._locked: set[Path] = set()

    def call(self, name: str, path: Path) -> None:
        self.calls += 1
        if self.faults and (fault := self.faults.pop(0)) is not None:
            raise fault

    @property
    def used(self) -> int:
        """Bytes on it, without what is set aside."""
        return sum(len(each.data) for path, each in self.files.items() if "set-aside" not in path.name)

    def kill(self) -> None:
        """Every process has ended: its files are closed, its locks gone."""
        self.life += 1
        self.handles = 0
        self._locked.clear()
        self.faults.clear()

    def cut_power(self) -> None:
        """What was not synced is there, is zeros, or is missing, block by block."""
        self.kill()
        for content in self.files.values():
            kept = self.rng.randint(len(content.synced), max(len(content.synced), len(content.data)))
            for at in range(len(content.synced) // BLOCK * BLOCK, kept, BLOCK):
                if self.rng.random() < 0.3:
                    end = min(at + BLOCK, kept)
                    old = content.synced[at:end]
                    content.data[at:end] = old + bytes(end - at - len(old))
            del content.data[kept:]
            content.synced = bytes(content.data)

    def make_folder(self, folder: Path) -> None:
        self.call("make_folder", folder)

    def names(self, folder: Path) -> list[str]:
        self.call("names", folder)
        return sorted(path.name for path in self.files if path.parent == folder)

    def create(self, path: Path) -> Any:
        self.call("create", path)
        if path in self.files:
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        self.files[path] = _Content()
        return SimulatedFile(self, path, self.files[path])

    def open(self, path: Path) -> Any:
        self.call("open", path)
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return SimulatedFile(self, path, self.files[path])

    def lock(self, path: Path) -> int:
        self.call("lock", path)
        if path in self._locked:
            raise BlockingIOError
        self.files.setdefault(path, _Content())
        self._locked.add(path)
        self._lock_path = path
        return self.life

    def unlock(self, lock: int) -> None:
        if lock == self.life:
            self._locked.clear()

    def rename(self, source: Path, target: Path) -> None:
        self.call("rename", source)
        self.files[target] = self.files.pop(source)

    def link(self, source: Path, target: Path) -> None:
        self.call("link", source)
        self.files[target] = self.files[source]

    def remove(self, path: Path) -> None:
        self.call("remove", path)
        self.files.pop(path, None)

    def size(self, path: Path) -> int:
        return len(self.files[path].data)

    def sync_folder(self, folder: Path) -> None:
        self.call("sync_folder", folder)
