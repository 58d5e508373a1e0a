"""Who may use which part of a bus: among the tasks of this process by turns, among processes by a file."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
from typing import NamedTuple

_FLOCK = struct.Struct("@hhqqi0q")
"""struct flock with 64-bit offsets, in the machine's own alignment (also on 32-bit ARM)."""


class Part(NamedTuple):
    """A stretch of a bus, from `start` up to but without `end`; each device is one number."""

    start: int
    end: int

    def overlaps(self, other: Part) -> bool:
        """Whether both hold some number."""
        return self.start < other.end and other.start < self.end


class TaskLock:
    """Gives parts to tasks, first come, first served; who waits for a part that is free does not wait."""

    def __init__(self) -> None:
        self._held: list[Part] = []
        self._waiting: list[tuple[Part, asyncio.Future[None]]] = []

    async def acquire(self, part: Part) -> None:
        """Waits for the part."""
        if not any(part.overlaps(other) for other in (*self._held, *(waiting for waiting, _ in self._waiting))):
            self._held.append(part)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((part, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove((part, turn))
                self._grant()
            else:
                self.release(part)
            raise

    def release(self, part: Part) -> None:
        """Frees the part."""
        self._held.remove(part)
        self._grant()

    def _grant(self) -> None:
        before: list[Part] = []
        for part, turn in list(self._waiting):
            if any(part.overlaps(other) for other in (*self._held, *before)):
                before.append(part)
            elif not turn.done():
                self._waiting.remove((part, turn))
                self._held.append(part)
                turn.set_result(None)


class FileLock:
    """The same among processes: an advisory lock on bytes of a file that all of them open.

    They are open file description locks (fcntl(2)), which end with the process, however it ends.

    Parameters:
        path: the bus's device node, or a file that is made where there is none.
        make: whether it may be made.

    Raises OSError.
    """

    def __init__(self, path: str, *, make: bool) -> None:
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            self._fd = os.open(path, flags)
        except FileNotFoundError:
            if not make:
                raise
            self._fd = os.open(path, flags | os.O_CREAT, 0o666)
            os.fchmod(self._fd, 0o666)  # containers on one bus may run as different users

    def acquire(self, part: Part) -> bool:
        """Locks the part, if no other process has any of it."""
        try:
            self._set(fcntl.F_WRLCK, part)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, says POSIX
            return False
        return True

    def release(self, part: Part) -> None:
        """Unlocks the part, if not all is unlocked already."""
        if self._fd >= 0:
            self._set(fcntl.F_UNLCK, part)

    def close(self) -> None:
        """Unlocks everything."""
        fd, self._fd = self._fd, -1
        os.close(fd)

    def _set(self, kind: int, part: Part) -> None:
        flock = _FLOCK.pack(kind, os.SEEK_SET, part.start, part.end - part.start, 0)
        fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, flock)
