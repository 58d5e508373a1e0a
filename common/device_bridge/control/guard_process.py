"""The order in which outputs go to their safe state, and the process that brings them there for a dead parent.

The process is this file, run as a script, isolated and without site packages: it needs 10 MiB. It holds the same open
lines as its parent and reads at a pipe. The pipe's end means that the parent is dead; silence, that its event loop
stands still: the parent is then killed first, so that it cannot go on beside what is done here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")

BEAT, BYE = b".", b"bye\n"
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SLICES = 10
"""Silence is counted in so many parts, so that time in which this process stood still as well does not count."""
_OOM_SCORE = "/proc/self/oom_score_adj"
_DYING_S = 1.0
_ANSWER_S = 1.0
_ERROR_AT = 5
"""Where the error number is in the answer of an emulated chip: see `SimulatedChips` of `device_bridge.buses`."""
_TRIED_S = 60.0
_PAUSE_S = 0.1
_GONE = (errno.ENODEV, errno.EPIPE, errno.ECONNRESET)


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
        off_answer, on_answer: what comes back at the same descriptor when it has been done; b"" for nothing.
    """

    fd: int
    request: int
    off: bytes
    on: bytes
    safe: bool = False
    group: str = ""
    off_answer: bytes = b""
    on_answer: bytes = b""


def pack(acts: Sequence[SafeAct]) -> str:
    """As an argument of the process."""
    return json.dumps([[part.hex() if isinstance(part, bytes) else part for part in act] for act in acts])


def unpack(text: str) -> list[SafeAct]:
    """The same again."""
    return [
        SafeAct(fd, request, bytes.fromhex(off), bytes.fromhex(on), safe, group, *map(bytes.fromhex, answers))
        for fd, request, off, on, safe, group, *answers in json.loads(text)
    ]


def execute(acts: Sequence[SafeAct]) -> bool:
    """Brings outputs into their safe state, offs first; returns whether none is left for which that can be tried."""
    left = 0
    plan = offs_first(acts, lambda act: act.safe, lambda act: act.group)
    with contextlib.suppress(StopIteration):
        act, on = next(plan)
        while True:
            done = True
            try:
                _switch(act, on)
            except OSError as error:
                _say(f"an output cannot be switched {'on' if on else 'off'}: {error}")
                done = False
                left += error.errno not in _GONE
            act, on = plan.send(done)
    return not left


def _switch(act: SafeAct, on: bool) -> None:
    data, answer = (act.on, act.on_answer) if on else (act.off, act.off_answer)
    if act.request:
        fcntl.ioctl(act.fd, act.request, data)
        return
    os.write(act.fd, data)
    if answer and not _is_answered(act.fd, answer):
        raise OSError(errno.EIO, "it has not been done")


def _is_answered(fd: int, answer: bytes) -> bool:
    """Whether this comes in time, or the same with an error number; what the parent had asked is answered before."""
    until, got = time.monotonic() + _ANSWER_S, b""
    while answer[_ERROR_AT + 1 :] not in got:
        left_s = until - time.monotonic()
        if left_s <= 0 or not select.select([fd], [], [], left_s)[0]:
            return False
        try:
            piece = os.read(fd, 4096)
        except BlockingIOError:
            continue
        if not piece:
            raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))
        got += piece
    return answer in got


def _say(text: str) -> None:
    """For the log, unless nobody reads it."""
    if select.select([], [2], [], 0)[1]:
        os.write(2, f"watchdog: {text}\n".encode())


def _wait(timeout_s: float) -> bytes:
    """What the parent said last: BYE, nothing when it was killed, BEAT when it has been silent for so long."""
    received, silent = b"", 0
    while silent < SLICES or not timeout_s:
        if not select.select([0], [], [], timeout_s / SLICES if timeout_s else None)[0]:
            silent += 1
            continue
        silent = 0
        piece = os.read(0, 4096)
        if not piece:
            return BYE if received.endswith(BYE) else b""
        received = (received + piece)[-len(BYE) :]
        with contextlib.suppress(OSError):  # it may read nothing any more
            os.write(1, BEAT)
    return BEAT


def _stand_in_for(parent: int, timeout_s: float, acts: Sequence[SafeAct]) -> None:
    """Kills a parent that stands still; outputs go off at once, those that are on when safe once it is dead."""
    _say(f"the service has stood still for {timeout_s:g} s and is killed")
    with contextlib.suppress(ProcessLookupError):
        if os.getppid() == parent:
            os.kill(parent, signal.SIGKILL)
    while select.select([0], [], [], _DYING_S)[0]:
        if not os.read(0, 4096):
            return
    execute([act._replace(safe=False) for act in acts])  # it hangs in the kernel, and may still do what it was at
    while os.read(0, 4096):
        pass


def reap(child: int) -> int:
    """As the first process of a container: passes signals on, and ends after all others.

    Parameters:
        child: who gets the signals and whose exit status is returned.
    """

    def pass_on(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    status = 0
    while True:
        try:
            pid, how = os.wait()
        except ChildProcessError:
            return status if status >= 0 else 128 - status
        if pid == child:
            status = os.waitstatus_to_exitcode(how)


def guard(arguments: Sequence[str]) -> None:
    """Waits at standard input; its end without BYE is the parent's death.

    Parameters:
        arguments: the acts, seconds of silence after which the parent stands still (0: never), its process id, and
            its OOM score from before it raised that above the one of this process.
    """
    for number in PASSED_ON:
        signal.signal(number, signal.SIG_IGN)
    acts, timeout_s, parent, score = unpack(arguments[0]), float(arguments[1]), int(arguments[2]), arguments[3]
    for wanted in ("-900", score):  # to outlive its parent when memory is short; the first needs a capability
        with contextlib.suppress(OSError):
            with open(_OOM_SCORE, "w", encoding="ascii") as file:
                file.write(wanted)
            break
    os.set_blocking(1, False)
    word = _wait(timeout_s)
    if word == BYE:
        return
    if word == BEAT:
        _stand_in_for(parent, timeout_s, acts)
    end = time.monotonic() + _TRIED_S
    while not execute(acts) and time.monotonic() < end:
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.exit(reap(int(sys.argv[1])))
    guard(sys.argv[1:])
