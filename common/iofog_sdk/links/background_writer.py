"""Writes to a pipe, terminal or file in a thread of its own: a reader that stops reading holds up nobody else."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections import deque
from collections.abc import Callable

Done = Callable[[OSError | None], None]


class BackgroundWriter:
    """Writes in the order of the calls; the thread begins with the first write.

    Parameters:
        fd: file descriptor to write to; stays open.
        name: of the thread.
    """

    def __init__(self, fd: int, name: str) -> None:
        self._fd, self._name = fd, name
        self._waiting: deque[tuple[bytes, Done | None]] = deque()
        self._changed = threading.Condition()
        self._is_started = False
        self.waiting_bytes = 0
        """Bytes that have not been written yet."""

    def write(self, data: bytes, done: Done | None = None) -> None:
        """Has this written and returns at once; who calls it limits `waiting_bytes`.

        Parameters:
            data: whole lines, so that others may write to the same place.
            done: called in the writer's thread when it is written, with the error when it cannot be.
        """
        with self._changed:
            self._waiting.append((data, done))
            self.waiting_bytes += len(data)
            if not self._is_started:
                self._is_started = True
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Waits until all has been written, so long at most; returns whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.waiting_bytes, timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                batch = list(self._waiting)
                self._waiting.clear()
            error = self._write(b"".join(data for data, _ in batch))
            with self._changed:
                self.waiting_bytes -= sum(len(data) for data, _ in batch)
                self._changed.notify_all()
            for _, done in batch:
                if done is not None:
                    done(error)

    def _write(self, data: bytes) -> OSError | None:
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:  # another process has made the descriptor non-blocking
                with contextlib.suppress(OSError):
                    select.select((), (self._fd,), ())
            except OSError as error:
                return error
        return None
