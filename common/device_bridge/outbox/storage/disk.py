"""The calls of the operating system that the outbox makes for its files; tests put a simulated disk in their place.

All block, and raise OSError. Files and folders are for their owner alone: messages may be confidential.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""Of a file system where a file has one name, such as FAT."""


class DiskFile:
    """An open file; written at given places, so that what others do to it cannot shift what comes later.

    Parameters:
        path: its name.
        create: whether to make it; it must not exist then.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
        self._descriptor = os.open(path, flags, 0o600)

    def write(self, data: bytes, at: int) -> None:
        """Writes all of it, or raises with some of it written."""
        rest = memoryview(data)
        while rest:
            count = os.pwrite(self._descriptor, rest, at)
            rest, at = rest[count:], at + count

    def read(self, size: int, at: int) -> bytes:
        """So many bytes, fewer at the end of the file."""
        parts = []
        while size and (part := os.pread(self._descriptor, size, at)):
            parts.append(part)
            size, at = size - len(part), at + len(part)
        return b"".join(parts)

    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._descriptor).st_size

    def truncate(self, size: int) -> None:
        """Cuts the file down to so many bytes."""
        os.ftruncate(self._descriptor, size)

    def sync(self) -> None:
        """Returns when a power cut cannot take back what was written."""
        os.fdatasync(self._descriptor)

    def is_in_place(self) -> bool:
        """Whether the name still leads to this file."""
        own = os.fstat(self._descriptor)
        try:
            named = self.path.stat()
        except FileNotFoundError:
            return False
        return (own.st_dev, own.st_ino) == (named.st_dev, named.st_ino)

    def close(self) -> None:
        """Closes it."""
        os.close(self._descriptor)


class Disk:
    """The file system."""

    def make_folder(self, folder: Path) -> None:
        """Makes the folder if it does not exist."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def names(self, folder: Path) -> list[str]:
        """What is in a folder, in order."""
        return sorted(path.name for path in folder.iterdir())

    def create(self, path: Path) -> DiskFile:
        """Makes a file that must not exist."""
        return DiskFile(path, create=True)

    def open(self, path: Path) -> DiskFile:
        """Opens a file that exists."""
        return DiskFile(path)

    def lock(self, path: Path) -> int:
        """Takes a lock that ends with the process, or with `unlock`. Raises BlockingIOError when another has it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def unlock(self, lock: int) -> None:
        """Gives a lock back."""
        os.close(lock)

    def rename(self, source: Path, target: Path) -> None:
        """Gives a file another name, in place of any that has it."""
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """Gives a file a second name, or has a copy where the file system has no such thing."""
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            copy = DiskFile(target, create=True)
            try:
                copy.write(source.read_bytes(), 0)
                copy.sync()
            finally:
                copy.close()

    def remove(self, path: Path) -> None:
        """Removes a file; one that is gone already is fine."""
        path.unlink(missing_ok=True)

    def size(self, path: Path) -> int:
        """Bytes in a file."""
        return path.stat().st_size

    def sync_folder(self, folder: Path) -> None:
        """Returns when a power cut cannot take back which names are in it."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
