"""A process that outlives its parent by an instant, to bring outputs into their safe state when that was killed.

It holds the same open lines as its parent and waits at a pipe. It is run as a script, isolated and without site
packages: it needs 7 MiB. SIGKILL to a whole container ends it too; then the chip's driver decides what becomes of
outputs.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
from collections.abc import Sequence

_BYE = b"bye\n"
_END_S = 2.0


class SafeStateGuard:
    """What is to be done if this process dies.

    Parameters:
        acts: each a file descriptor, an ioctl or 0 for a plain write, and the bytes for it.
    """

    def __init__(self, acts: Sequence[tuple[int, int, bytes]]) -> None:
        self._acts = acts
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts the process. Raises OSError."""
        acts = json.dumps([(fd, request, data.hex()) for fd, request, data in self._acts])
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", __file__, acts),
            stdin=asyncio.subprocess.PIPE,
            pass_fds=[fd for fd, _, _ in self._acts],
            start_new_session=True,  # Ctrl-C in a terminal is for the parent
        )

    async def stop(self) -> None:
        """Ends the process without its doing anything: the parent has done it itself."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.write(_BYE)
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _END_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def execute(acts: Sequence[tuple[int, int, bytes]]) -> None:
    """Does what the parent wanted done."""
    for fd, request, data in acts:
        with contextlib.suppress(OSError):  # the others all the same
            if request:
                fcntl.ioctl(fd, request, data)
            else:
                os.write(fd, data)


def main() -> None:
    """Waits at standard input; its end without a `bye` is the parent's death."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    acts = [(fd, request, bytes.fromhex(data)) for fd, request, data in json.loads(sys.argv[1])]
    told = b""
    while piece := os.read(0, 100):
        told += piece
    if told != _BYE:
        execute(acts)


if __name__ == "__main__":
    main()
