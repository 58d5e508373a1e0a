"""The order in which outputs go to their safe state, and a process that brings them there when this one was killed.

That process holds the same open lines as its parent and waits at a pipe. It is this file, run as a script, isolated
and without site packages: it needs 7 MiB. SIGKILL to a whole container ends it too; then the chip's driver decides
what becomes of outputs.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")
log = logging.getLogger("device_bridge")

_BYE = b"bye\n"
_END_S = 1.0
_STEADY_S = 2.0
"""A process that has died is trusted again when it has run for so long."""
_RETRY_S = 1.0
_ATTEMPTS = 20
_PAUSE_S = 0.1


def offs_first(
    outputs: Iterable[T], on: Callable[[T], bool], group: Callable[[T], str]
) -> Generator[tuple[T, bool], bool, None]:
    """The order in which several outputs are switched: first those that go off, then those that go on.

    One that would go on goes off instead while another of its group is on, or has not gone off.

    Parameters:
        outputs: to be switched; each is yielded with the state it has to get, and whether it certainly has that state
            is to be sent back.
        on: whether an output is to be on.
        group: of an output; "" for none. Outputs of one group are never on together.
    """
    taken: set[str] = set()
    for output in sorted(outputs, key=on):
        name = group(output)
        state = on(output) and not (name and name in taken)
        done = yield output, state
        if state or not done:
            taken.add(name)


class SafeAct(NamedTuple):
    """How one output is switched by whoever holds its line.

    Parameters:
        fd: file descriptor of the line.
        request: an ioctl, or 0 for a plain write.
        off, on: the bytes that switch it.
        safe: whether it is on in its safe state.
        group: outputs of one group are never on together; "" for none.
    """

    fd: int
    request: int
    off: bytes
    on: bytes
    safe: bool = False
    group: str = ""


class SafeStateGuard:
    """A process that brings outputs into their safe state when this one has died, and is kept running."""

    def __init__(self) -> None:
        self._acts: tuple[SafeAct, ...] = ()
        self._process: asyncio.subprocess.Process | None = None
        self._started_at = float("-inf")
        self._changed, self._turn = asyncio.Event(), asyncio.Lock()
        self.problem = ""
        """Why outputs are without it; "" while it runs, or nothing is to be done."""
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """Of the process; None without one."""
        return self._process.pid if self._process else None

    async def protect(self, acts: Sequence[SafeAct]) -> None:
        """Is to do this from now on, and nothing else. A process that cannot be started is a `problem`."""
        async with self._turn:
            before, self._acts = self._process, tuple(acts)
            await self._start()
            await _end(before, _BYE)

    async def keep_running(self) -> None:
        """Starts the process again when it has died, until cancelled."""
        early = 0
        while True:
            self._changed.clear()
            process = self._process
            if process is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _RETRY_S if self._acts else None)
                await self._restart(process)
                continue
            try:
                await asyncio.wait_for(process.wait(), _STEADY_S if self.problem else None)
            except TimeoutError:
                log.info("the watchdog process runs again")
                self.problem = ""
                continue
            if process is not self._process:
                continue  # another one does its work
            self.restarts += 1
            log.error("the watchdog process has died (status %s) and is started again", process.returncode)
            early = early + 1 if asyncio.get_running_loop().time() - self._started_at < _STEADY_S else 0
            if early > 1:
                self.problem = "the watchdog process dies as soon as it is started"
                await asyncio.sleep(_RETRY_S)
            await self._restart(process)

    async def stop(self, *, act: bool = False) -> None:
        """Ends the process.

        Parameters:
            act: has it bring outputs into their safe state first, as if this process had died.
        """
        async with self._turn:
            process, self._process, self._acts = self._process, None, ()
            await _end(process, b"" if act else _BYE)

    async def _restart(self, dead: asyncio.subprocess.Process | None) -> None:
        async with self._turn:
            if self._process is dead and self._acts:
                await self._start()

    async def _start(self) -> None:
        process = None
        acts = json.dumps([(*act[:2], act.off.hex(), act.on.hex(), *act[4:]) for act in self._acts])
        try:
            if self._acts:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-S", __file__, acts),
                    stdin=asyncio.subprocess.PIPE,
                    pass_fds=[act.fd for act in self._acts],
                    start_new_session=True,  # Ctrl-C in a terminal is for the parent
                )
            else:
                self.problem = ""
        except OSError as error:
            self.problem = f"the watchdog process cannot be started: {error}"
            log.error("%s", self.problem)
        self._process, self._started_at = process, asyncio.get_running_loop().time()
        self._changed.set()


async def _end(process: asyncio.subprocess.Process | None, last_word: bytes) -> None:
    if process is None or process.stdin is None:
        return
    with contextlib.suppress(OSError):
        process.stdin.write(last_word)
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _END_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def execute(acts: Sequence[SafeAct]) -> bool:
    """Brings outputs into their safe state, offs first; returns whether all have been switched."""
    failed = 0
    plan = offs_first(acts, lambda act: act.safe, lambda act: act.group)
    with contextlib.suppress(StopIteration):
        act, on = next(plan)
        while True:
            data = act.on if on else act.off
            try:
                if act.request:
                    fcntl.ioctl(act.fd, act.request, data)
                else:
                    os.write(act.fd, data)
                done = True
            except OSError as error:
                sys.stderr.write(f"watchdog: an output cannot be switched {'on' if on else 'off'}: {error}\n")
                done = False
            failed += not done
            act, on = plan.send(done)
    return not failed


def main() -> None:
    """Waits at standard input; its end without a `bye` is the parent's death."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("-900")  # to outlive its parent when memory is short; needs a capability
    acts = [
        SafeAct(fd, request, bytes.fromhex(off), bytes.fromhex(on), safe, group)
        for fd, request, off, on, safe, group in json.loads(sys.argv[1])
    ]
    told = b""
    while piece := os.read(0, 100):
        told += piece
    if told == _BYE:
        return
    for _ in range(_ATTEMPTS):
        if execute(acts):
            return
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    main()
