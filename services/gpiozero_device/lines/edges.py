"""Edges of many lines, reported in the order of their times by one thread."""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable
from typing import NamedTuple

from device_bridge import DeviceError, DeviceErrorKind
from device_bridge.buses import GpioLines

log = logging.getLogger("gpiozero_device")

RISING = 1
_PASSES = 20
_END_S = 5.0


class _Watched(NamedTuple):
    lines: GpioLines
    on_edge: Callable[[float, int], None]
    on_error: Callable[[DeviceError], None]


class EdgeWatcher:
    """Calls back for each edge of the lines that are watched, in its thread.

    The kernel keeps a queue for each line: what has come on all of them is sorted by the
    kernel's times, so that the order of an encoder's two lines is right.
    """

    def __init__(self) -> None:
        self._watched: dict[int, _Watched] = {}
        self._lock = threading.Lock()
        self._poll = select.epoll()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._poll.register(self._wake_fd, select.EPOLLIN)
        self._ends = False
        self._thread = threading.Thread(target=self._run, name="gpio edges", daemon=True)
        self._thread.start()

    def watch(
        self, lines: GpioLines, on_edge: Callable[[float, int], None], on_error: Callable[[DeviceError], None]
    ) -> None:
        """Tells edges of a line from now on.

        Parameters:
            lines: with one line.
            on_edge: is called with seconds of the edge, on the monotonic clock, and the level after it.
            on_error: is called when the line is lost, or edges of it.
        """
        with self._lock:
            self._watched[lines.fileno()] = _Watched(lines, on_edge, on_error)
            self._poll.register(lines.fileno(), select.EPOLLIN)

    def unwatch(self, lines: GpioLines) -> None:
        """Does not touch these lines any more; they may be closed then."""
        with self._lock:
            if self._watched.pop(lines.fileno(), None) is not None:
                self._poll.unregister(lines.fileno())

    def close(self) -> None:
        """Ends the thread."""
        self._ends = True
        os.eventfd_write(self._wake_fd, 1)
        if threading.current_thread() is not self._thread:
            self._thread.join(_END_S)
            if not self._thread.is_alive():
                self._poll.close()
                os.close(self._wake_fd)

    def _run(self) -> None:
        while True:
            self._poll.poll()
            if self._ends:
                return
            edges, lost = self._collect()
            for seconds, level, on_edge in sorted(edges, key=lambda edge: edge[0]):
                try:
                    on_edge(seconds, level)
                except Exception:
                    log.exception("a callback for an edge has failed")
            for watched, error in lost:
                watched.on_error(error)

    def _collect(
        self,
    ) -> tuple[list[tuple[float, int, Callable[[float, int], None]]], list[tuple[_Watched, DeviceError]]]:
        """All edges that have come, of all lines up to the same moment: until none has another one."""
        edges, lost = [], []
        with self._lock:
            for _ in range(_PASSES):
                found = 0
                for fd, watched in list(self._watched.items()):
                    try:
                        batch = watched.lines.pending()
                    except DeviceError as error:
                        del self._watched[fd]
                        self._poll.unregister(fd)
                        lost.append((watched, error))
                        continue
                    if batch is not None and batch.lost:
                        detail = f"{batch.lost} edges came faster than they were read"
                        lost.append((watched, DeviceError(DeviceErrorKind.GARBLED, watched.lines.names, detail)))
                    for time_ns, kind, *_ in batch or ():
                        found += 1
                        edges.append((time_ns / 1e9, int(kind == RISING), watched.on_edge))
                if not found:
                    break
        return edges, lost
