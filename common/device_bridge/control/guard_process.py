"""The order in which outputs go to their safe state, and the process that brings them there for a dead parent.

The process is this file, run as a script, isolated and without site packages: it needs 10 MiB. It holds the same open
lines as its parent, opens an I2C bus only when it has to act, and reads at a pipe. The pipe's end means that the
parent is dead; silence, that its event loop stands still: the parent is then killed first, so that it cannot go on
beside what is done here.

I2C by the kernel's Documentation/i2c/dev-interface.rst, SMBus transfers by include/uapi/linux/i2c.h.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from array import array
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

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
_SIMULATED = "sim:"
_I2C_SLAVE_FORCE, _I2C_SMBUS = 0x0706, 0x0720
_SMBUS_DATA = struct.Struct("BBIP")
"""struct i2c_smbus_ioctl_data: whether it reads, the first byte sent, which transfer, where the other bytes are."""
_SMBUS_WRITES = {1: 1, 2: 2, 3: 3}
"""By length: I2C_SMBUS_BYTE, I2C_SMBUS_BYTE_DATA, I2C_SMBUS_WORD_DATA; the kernel does them on every adapter."""


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

    def switch(self, on: bool) -> None:
        """Has it be so. Raises OSError."""
        data, answer = (self.on, self.on_answer) if on else (self.off, self.off_answer)
        if self.request:
            fcntl.ioctl(self.fd, self.request, data)
            return
        os.write(self.fd, data)
        if answer and not _is_answered(self.fd, answer):
            raise OSError(errno.EIO, "it has not been done")


class I2cAct(NamedTuple):
    """How the outputs of one chip on an I2C bus are switched, in one write.

    The bus is opened for it, and closed again: a parent that lives has it for itself.

    Parameters:
        path: `/dev/i2c-N`, or `sim:` and the socket of an emulated bus.
        address: of the chip, seven bits.
        off: the 1 to 3 bytes that switch all its outputs off.
        on: those that bring them into their safe state.
        safe: whether any is on in it.
        group: outputs of one group are never on together; "" for none.
    """

    path: str
    address: int
    off: bytes
    on: bytes
    safe: bool = False
    group: str = ""

    def switch(self, on: bool) -> None:
        """Has them be so. Raises OSError."""
        data = self.on if on else self.off
        if self.path.startswith(_SIMULATED):
            _write_simulated(self.path.removeprefix(_SIMULATED), self.address, data)
        else:
            _write_i2c(self.path, self.address, data)


Act: TypeAlias = "SafeAct | I2cAct"
_KINDS: dict[str, Callable[..., Act]] = {kind.__name__: kind for kind in (SafeAct, I2cAct)}


def pack(acts: Sequence[Act]) -> str:
    """As an argument of the process."""
    return json.dumps([[type(act).__name__, *map(_packed, act)] for act in acts])


def _packed(part: object) -> object:
    return {"hex": part.hex()} if isinstance(part, bytes) else part


def unpack(text: str) -> list[Act]:
    """The same again."""
    return [
        _KINDS[kind](*(bytes.fromhex(part["hex"]) if isinstance(part, dict) else part for part in parts))
        for kind, *parts in json.loads(text)
    ]


def execute(acts: Sequence[Act], say: Callable[[str], None] = lambda _: None) -> bool:
    """Brings outputs into their safe state, offs first; returns whether none is left for which that can be tried.

    Parameters:
        acts: how they are switched.
        say: gets what fails.
    """
    left = 0
    plan = offs_first(acts, lambda act: act.safe, lambda act: act.group)
    with contextlib.suppress(StopIteration):
        act, on = next(plan)
        while True:
            done = True
            try:
                act.switch(on)
            except OSError as error:
                say(f"an output cannot be switched {'on' if on else 'off'}: {error}")
                done = False
                left += error.errno not in _GONE
            act, on = plan.send(done)
    return not left


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


def _write_i2c(path: str, address: int, data: bytes) -> None:
    """As an SMBus transfer of the same bytes: adapters that know only these do it, too."""
    rest = array("B", [*data[1:], *bytes(34)])  # union i2c_smbus_data
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _I2C_SLAVE_FORCE, address)
        asked = _SMBUS_DATA.pack(0, data[0], _SMBUS_WRITES[len(data)], rest.buffer_info()[0])
        fcntl.ioctl(fd, _I2C_SMBUS, asked)
    finally:
        os.close(fd)


def _write_simulated(path: str, address: int, data: bytes) -> None:
    """As `SimulatedAdapter` of `device_bridge.buses` does it; the message is msgpack."""
    message = bytes([0x93, address, 0x91, 0xC4, len(data)]) + data + struct.pack(">Bd", 0xCB, _ANSWER_S)
    with socket.socket(socket.AF_UNIX) as bus:
        bus.settimeout(2 * _ANSWER_S)
        try:
            bus.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            raise OSError(errno.ENODEV, "the emulated bus went away") from None
        bus.sendall(len(message).to_bytes(4, "big") + message)
        if (answer := bus.recv(5)) != b"\0\0\0\1\x90":  # a list of nothing that was read
            raise OSError(errno.EIO if answer else errno.EPIPE, "it has not been done")


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


def _stand_in_for(parent: int, timeout_s: float, acts: Sequence[Act]) -> None:
    """Kills a parent that stands still; outputs go off at once, those that are on when safe once it is dead."""
    _say(f"the service has stood still for {timeout_s:g} s and is killed")
    with contextlib.suppress(ProcessLookupError):
        if os.getppid() == parent:
            os.kill(parent, signal.SIGKILL)
    while select.select([0], [], [], _DYING_S)[0]:
        if not os.read(0, 4096):
            return
    execute(
        [act._replace(safe=False) for act in acts], _say
    )  # it hangs in the kernel, and may still do what it was at
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
    end, done = time.monotonic() + _TRIED_S, execute(acts, _say)
    while not done and time.monotonic() < end:
        time.sleep(_PAUSE_S)
        done = execute(acts)
    if not done:
        _say(f"given up after {_TRIED_S:g} s")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.exit(reap(int(sys.argv[1])))
    guard(sys.argv[1:])
