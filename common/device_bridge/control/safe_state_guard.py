"""Keeps a process that brings outputs into their safe state when this one was killed or stands still.

Each watches the other. This one says every second that its event loop turns, is answered, and starts the other again
when that has died or does not answer. SIGKILL to a whole container ends both; then the chip's driver decides what
becomes of outputs.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

from msgspec import Meta

from ..errors import DeviceError, DeviceErrorKind
from . import guard_process
from .guard_process import BEAT, BYE, SLICES, Act, SafeAct

log = logging.getLogger("device_bridge")

Watchdog: TypeAlias = Annotated[
    bool, Meta(description="a second process (10 MiB) brings outputs into their safe state if this one is killed")
]
WatchdogTimeout: TypeAlias = Annotated[
    float, Meta(ge=0, le=3600, description="seconds without a sign of life, then it kills this one; 0: never")
]
"""The settings of a service that has a `SafeStateGuard`: `watchdog` and `watchdog_timeout`."""

_END_S = 1.0
_STEADY_S = 2.0
"""A process that has died is trusted again when the next one has run for so long."""
_LONGEST_BEAT_S = 1.0
_ANSWERS_MISSED = 2 * SLICES
_OOM_SCORE = Path("/proc/self/oom_score_adj")
_OOM_ABOVE = 10


def leave_first_place() -> None:
    """Goes on as a child where this is the first process of a container.

    With the first process the kernel ends all others (pid_namespaces(7)), which would be the guard's end, too. Its
    place is taken by one that passes signals on and ends last. Called before anything is opened.
    """
    if os.getpid() != 1:
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, guard_process.PASSED_ON)
    if child := os.fork():
        os.execv(sys.executable, [sys.executable, "-I", "-S", guard_process.__file__, str(child)])  # noqa: S606
    signal.pthread_sigmask(signal.SIG_UNBLOCK, guard_process.PASSED_ON)


class SafeStateGuard:
    """A process that brings outputs into their safe state when this one has died, and is kept running.

    Parameters:
        timeout_s: this process is killed when its event loop has not turned for so long; 0 for never.
    """

    def __init__(self, timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s
        self._acts: tuple[Act, ...] = ()
        self._process: _Process | None = None
        self._died_early = False
        self._changed, self._turn = asyncio.Event(), asyncio.Lock()
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """Of the process; None without one."""
        return self._process.pid if self._process else None

    async def protect(self, acts: Sequence[Act]) -> None:
        """Is to do this from now on, and nothing else. Raises DeviceError when it cannot be started."""
        async with self._turn:
            before, self._acts = self._process, tuple(acts)
            await self._start()
            if before is not None:
                await before.end(BYE)

    async def keep_running(self) -> None:
        """Starts the process again when it has died, until cancelled. Raises DeviceError if it dies twice at once."""
        while True:
            self._changed.clear()
            process = self._process
            if process is None:
                await self._changed.wait()
                continue
            await asyncio.wait((process.ended,))
            if process is not self._process:
                continue  # another one does its work
            self.restarts += 1
            log.error("the watchdog process has died (status %s) and is started again", process.ended.result())
            if self._died_early and process.age_s < _STEADY_S:
                raise _unusable("it dies as soon as it is started")
            self._died_early = process.age_s < _STEADY_S
            async with self._turn:
                if self._process is process and self._acts:
                    await self._start()

    async def stop(self, *, act: bool = False) -> None:
        """Ends the process.

        Parameters:
            act: has it bring outputs into their safe state first, as if this process had died.
        """
        async with self._turn:
            process, self._process, self._acts = self._process, None, ()
            if process is not None:
                await process.end(b"" if act else BYE)

    async def _start(self) -> None:
        self._process = None
        try:
            self._process = await _Process.start(self._acts, self._timeout_s) if self._acts else None
        except OSError as error:
            raise _unusable(f"it cannot be started: {error}") from None
        finally:
            self._changed.set()


class _Process:
    """One process, and the pipes to it.

    Parameters:
        process: it.
        to_fd, from_fd: its input and its answers.
        interval_s: from beat to beat.
    """

    def __init__(self, process: asyncio.subprocess.Process, to_fd: int, from_fd: int, interval_s: float) -> None:
        self._process, self._to, self._from, self._interval_s = process, to_fd, from_fd, interval_s
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self._unanswered = 0
        self.pid = process.pid
        self.ended = asyncio.ensure_future(process.wait())
        self.ended.add_done_callback(lambda _: self._close())
        self._timer: asyncio.Handle = self._loop.call_soon(self._beat)

    @classmethod
    async def start(cls, acts: Sequence[Act], timeout_s: float) -> _Process:
        """Raises OSError."""
        score = _raise_oom_score()
        its_in, to_fd = os.pipe()
        from_fd, its_out = os.pipe()
        try:
            for fd in (to_fd, from_fd):
                os.set_blocking(fd, False)
            arguments = (guard_process.pack(acts), str(timeout_s), str(os.getpid()), str(score))
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", guard_process.__file__, *arguments),
                stdin=its_in,
                stdout=its_out,
                pass_fds=[act.fd for act in acts if isinstance(act, SafeAct)],
                start_new_session=True,  # Ctrl-C in a terminal is for the parent
            )
        except BaseException:
            os.close(to_fd)
            os.close(from_fd)
            raise
        finally:
            os.close(its_in)
            os.close(its_out)
        return cls(process, to_fd, from_fd, min(_LONGEST_BEAT_S, (timeout_s or SLICES) / SLICES))

    @property
    def age_s(self) -> float:
        """For how long it has run."""
        return self._loop.time() - self._began_at

    def _beat(self) -> None:
        self._timer = self._loop.call_later(self._interval_s, self._beat)
        try:
            answered = bool(os.read(self._from, 4096))
        except BlockingIOError:
            answered = False
        self._unanswered = 0 if answered else self._unanswered + 1
        if self._unanswered > _ANSWERS_MISSED:
            log.error("the watchdog process does not answer")
            self._kill()
        with contextlib.suppress(OSError):  # it is full, or its end will be noticed
            os.write(self._to, BEAT)

    async def end(self, last_word: bytes) -> None:
        """Has it end, by force when it does not."""
        if not self.ended.done():
            with contextlib.suppress(OSError):
                os.write(self._to, last_word)
            self._close()
        await asyncio.wait((self.ended,), timeout=_END_S)
        self._kill()
        await self.ended

    def _kill(self) -> None:
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _close(self) -> None:
        self._timer.cancel()
        for fd in (self._to, self._from):
            if fd >= 0:
                os.close(fd)
        self._to = self._from = -1


@functools.cache
def _raise_oom_score() -> int:
    """Has the kernel end this process before the other when memory is short; returns the score of before."""
    try:
        score = int(_OOM_SCORE.read_text())
        _OOM_SCORE.write_text(str(min(1000, score + _OOM_ABOVE)))
    except (OSError, ValueError):
        return 0
    return score


def _unusable(detail: str) -> DeviceError:
    return DeviceError(DeviceErrorKind.UNREACHABLE, "watchdog process", detail)
