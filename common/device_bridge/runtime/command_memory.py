"""Which messages' commands have been begun: their ids outlive the process, so that none is executed twice.

ioFog delivers at least once. The file is a line of JSON for each id, appended before the first command of a message
is executed; it reaches the disk when the kernel writes it, so that a kill loses nothing and a power cut some seconds.
It is rewritten as a whole each time it has grown to twice its size.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path

import msgspec

from iofog_sdk.messages import decode_json

from ..clocks import wall

log = logging.getLogger("device_bridge")

SIZE = 1000
"""Ids that are remembered."""
_WRITE_S = 1.0
"""Seconds that a command waits for a disk which does not write."""
_NEVER = -1.0
_MARK = ""
"""Stands for all that has been forgotten."""
_MAX_FILE_BYTES = 4 * 1024 * 1024


class CommandMemory:
    """The newest ids of messages with commands.

    Parameters:
        file: where they are kept; None keeps them in memory only.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: dict[str, float] = {}
        self._not_begun: set[str] = set()
        self._unwritten: list[tuple[str, float]] = []
        self._lines = 0
        self._problem = ""
        self._forgotten_to = self._unread_to = _NEVER

    @property
    def forgotten_to(self) -> float:
        """When the newest message came that is not known, seconds since 1970-01-01 UTC: what was sent before that may
        have been executed."""
        return max(self._forgotten_to, self._unread_to)

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._known

    def __len__(self) -> int:
        return len(self._known)

    def add(self, message_id: str, received: float) -> None:
        """A message has come.

        Parameters:
            message_id: its id.
            received: when, seconds since 1970-01-01 UTC.
        """
        self._known.pop(message_id, None)
        self._known[message_id] = received
        self._not_begun.add(message_id)
        while len(self._known) > SIZE:
            oldest = next(iter(self._known))
            self._not_begun.discard(oldest)
            self._forgotten_to = max(self._forgotten_to, self._known.pop(oldest))

    def keep(self, message_id: str) -> None:
        """Its commands are begun or answered: has the id written by the next `flush`."""
        self._not_begun.discard(message_id)
        if self._file is not None and message_id in self._known:
            self._unwritten.append((message_id, self._known[message_id]))

    async def open(self) -> None:
        """Reads what earlier runs have left."""
        if self._file is not None:
            await self._load()

    async def flush(self) -> None:
        """Writes what is to be kept. A disk that cannot be written is reported, and waited for a second at most."""
        if self._file is None or not self._unwritten:
            return
        if self._unread_to != _NEVER:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WRITE_S):
                    await self._load()
        written, self._unwritten = self._unwritten, []
        begun = [each for each in self._known.items() if each[0] not in self._not_begun]
        whole = [(_MARK, self._forgotten_to), *begun]
        work = asyncio.get_running_loop().run_in_executor(None, self._write, written, whole)
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            async with asyncio.timeout(_WRITE_S):
                await asyncio.shield(work)
        except (OSError, TimeoutError) as error:  # TimeoutError is an OSError without a text
            problem = (
                f"ids of executed commands cannot be kept in {self._file}: {str(error) or 'the disk does not write'}"
            )
            if problem != self._problem:
                log.error("%s", problem)
            self._problem = problem
        else:
            self._problem = ""

    async def _load(self) -> None:
        """Learns what the file holds; while it cannot be read it is tried again before each writing."""
        lines = await asyncio.get_running_loop().run_in_executor(None, self._read)
        if lines is None:
            if self._unread_to == _NEVER:
                self._unread_to = wall()
            return
        since, not_begun, damaged = list(self._known.items()), self._not_begun.copy(), 0
        self._known.clear()  # what has come meanwhile is newer than what is read
        for line in filter(None, lines):
            try:
                message_id, received = decode_json(line, tuple[str, float])
            except ValueError:
                damaged += 1
                continue
            if message_id == _MARK:
                self._forgotten_to = max(self._forgotten_to, received)
            else:
                self.add(message_id, received)
        for message_id, received in since:
            self.add(message_id, received)
        self._lines += len(lines)
        self._not_begun.intersection_update(not_begun)
        self._unread_to = _NEVER
        if damaged:
            log.warning("%d lines of %s are damaged; the ids in them are not known", damaged, self._file)

    def _read(self) -> list[bytes] | None:
        assert self._file is not None  # noqa: S101 - called only with a file
        try:
            with open(self._file, "rb") as stream:
                stream.seek(max(0, self._file.stat().st_size - _MAX_FILE_BYTES))
                return stream.read().split(b"\n")
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            if self._unread_to == _NEVER:
                log.error(
                    "ids of executed commands cannot be read now from %s (%s): commands from before are refused, and "
                    "it is tried again",
                    *(self._file, error),
                )
            return None

    def _write(self, new: list[tuple[str, float]], whole: list[tuple[str, float]]) -> None:
        assert self._file is not None  # noqa: S101 - called only with a file
        if self._lines + len(new) > 2 * SIZE or not self._file.exists():  # removed by somebody, or not made yet
            self._replace(whole)
            self._lines = len(whole)
        else:
            self._append(new)
            self._lines += len(new)

    def _append(self, ids: list[tuple[str, float]]) -> None:
        assert self._file is not None  # noqa: S101 - called only with a file
        # A line begins with its line feed, so that one which a power cut has torn does not spoil the next.
        data = b"".join(b"\n" + msgspec.json.encode(one) for one in ids)
        with open(self._file, "ab", buffering=0, opener=_private) as stream:
            stream.write(data)

    def _replace(self, ids: list[tuple[str, float]]) -> None:
        assert self._file is not None  # noqa: S101 - called only with a file
        new = self._file.with_suffix(".new")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(new, "wb", opener=_private) as stream:
                stream.write(b"".join(b"\n" + msgspec.json.encode(one) for one in ids))
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()
            raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
