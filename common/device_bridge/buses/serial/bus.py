"""A serial line on the event loop: read in batches from the descriptor, written with back-pressure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable

from ...errors import DeviceError, DeviceErrorKind
from ..in_process import SIMULATED
from .port import InProcessPort, OpenPort, Rs485Settings, SerialSettings

__all__ = ["Rs485Settings", "SerialBus", "SerialSettings"]

_READ_SIZE = 64 * 1024
_MOST_UNREAD = 256 * 1024
_RESUMING_S = 0.1
"""Seconds in which what the kernel has held is read, after reading was stopped."""


class SerialBus:
    """One open serial port.

    Parameters:
        settings: which port, and how it is set.

    `open` raises DeviceError (not found, permission, busy), or SettingsError when the address can never be a serial
    port. One task may read and any number may write.
    """

    def __init__(self, settings: SerialSettings) -> None:
        self._settings = settings
        self._port: OpenPort | InProcessPort | None = None
        self._fd = -1
        self._unread = b""
        self._unread_since = 0.0
        self._stopped_at: float | None = None
        self._resumed_at = 0.0
        self.age_s = 0.0
        """How long the first byte of what was read last may have waited here, or in the kernel's buffer."""
        self._lost: DeviceError | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._watched = False
        self._ended = asyncio.Event()
        self._writing = asyncio.Lock()
        self._finishing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Opens and locks the port, with nothing old in its input buffer."""
        settings = self._settings
        if "://" in settings.port:
            opening = asyncio.ensure_future(asyncio.to_thread(OpenPort, settings))
            try:
                self._port = await asyncio.shield(opening)
            except asyncio.CancelledError:
                opening.add_done_callback(_close_unwanted)
                raise
        elif settings.port.startswith(SIMULATED):
            self._port = InProcessPort(settings.port)
        else:
            self._port = OpenPort(settings)
        self._fd = self._port.fd
        self._watch()

    async def read(self) -> bytes:
        """Whatever has come, at least one byte. Cancelling it loses nothing.

        Raises DeviceError (gone) when the device is unplugged, after everything that came before was read.
        """
        while not self._unread:
            if self._lost:
                raise self._lost
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._take_unread()

    async def rest(self, seconds: float) -> None:
        """Waits, unless the device goes away meanwhile. Raises DeviceError (gone) then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._ended.wait()
        if self._lost:
            raise self._lost

    def discard_input(self) -> None:
        """Forgets what has come and was not read, so that an answer is not mixed with what came before it."""
        if self._fd >= 0 and not self._lost:
            self._receive()
        self._take_unread()

    async def write(self, data: bytes, timeout_s: float = 5.0) -> None:
        """Gives all of it to the port, waiting while that is busy; writers take turns.

        What has begun to go out is finished even when the caller is cancelled, so that the next one's data does not
        follow half of this.

        Raises DeviceError: timeout when the port does not take it in time (what is left is then not sent later), gone
        when the device is unplugged.
        """
        left = memoryview(data)
        if not self._writing.locked() and not (left := left[self._send(left) :]):
            return
        has_begun = asyncio.Event()
        if len(left) < len(data):
            has_begun.set()
        sending = asyncio.get_running_loop().create_task(self._send_all(left, len(data), timeout_s, has_begun))
        self._finishing.add(sending)
        sending.add_done_callback(self._finished)
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            if not has_begun.is_set():
                sending.cancel()
            raise

    def counters(self) -> dict[str, int]:
        """None: what was lost is known to who reads frames."""
        return {}

    async def close(self) -> None:
        """Closes the port, while the loop goes on; harmless when it is not open."""
        if self._port is None:
            return
        if self._pause:
            self._pause.cancel()
        self._fail("closed")
        asyncio.get_running_loop().remove_writer(self._fd)
        if self._writer and not self._writer.done():
            self._writer.set_result(None)
        port, self._port, self._fd = self._port, None, -1
        if isinstance(port, InProcessPort):
            port.close()
        else:
            await _in_thread(port.close)

    async def _send_all(self, left: memoryview, size: int, timeout_s: float, has_begun: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(timeout_s), self._writing:
                while left := left[self._send(left) :]:
                    if len(left) < size:
                        has_begun.set()
                    await self._writable()
        except TimeoutError:
            if self._port:
                self._port.discard_output()
            detail = f"takes no data: {len(left)} of {size} bytes left after {timeout_s:g} s; is flow control right?"
            raise DeviceError(DeviceErrorKind.TIMEOUT, self._settings.port, detail) from None

    def _finished(self, sending: asyncio.Task[None]) -> None:
        self._finishing.discard(sending)
        if not sending.cancelled():
            sending.exception()  # its caller has it, or was cancelled

    def _take_unread(self) -> bytes:
        data, self._unread = self._unread, b""
        now = asyncio.get_running_loop().time()
        self.age_s = now - self._unread_since
        if not self._watched and self._pause is None:
            self._resumed_at = now
            self._watch()
        return data

    def _watch(self) -> None:
        self._pause = None
        if self._fd >= 0 and not self._lost:
            asyncio.get_running_loop().add_reader(self._fd, self._readable)
            self._watched = True

    def _unwatch(self) -> None:
        if self._watched:
            asyncio.get_running_loop().remove_reader(self._fd)
            self._watched = False

    def _readable(self) -> None:
        self._receive()
        if self._settings.coalesce and not self._lost:
            self._unwatch()
            self._rest()

    def _rest(self) -> None:
        self._pause = asyncio.get_running_loop().call_later(self._settings.coalesce, self._after_rest)

    def _after_rest(self) -> None:
        """Reads on without asking the kernel first, as long as something comes; then it asks again."""
        if len(self._unread) < _MOST_UNREAD and self._receive() and not self._lost:
            self._rest()
        else:
            self._watch()

    def _receive(self) -> bool:
        try:
            data = os.read(self._fd, _READ_SIZE)
        except BlockingIOError:
            return False
        except OSError as error:
            self._fail(f"unplugged ({error.strerror})")
            return False
        if not data:
            self._fail("unplugged (end of file)")
            return False
        now = asyncio.get_running_loop().time()
        if self._stopped_at is not None and now > self._resumed_at + _RESUMING_S:
            self._stopped_at = None  # the kernel holds nothing older
        if not self._unread:
            self._unread_since = now if self._stopped_at is None else self._stopped_at
        self._unread = self._unread + data if self._unread else data
        if len(self._unread) >= _MOST_UNREAD:
            self._stopped_at = now if self._stopped_at is None else self._stopped_at
            self._unwatch()
        self._wake()
        return True

    def _fail(self, detail: str) -> None:
        self._lost = self._lost or DeviceError(DeviceErrorKind.GONE, self._settings.port, detail)
        self._ended.set()
        self._unwatch()
        self._wake()

    def _wake(self) -> None:
        if self._reader and not self._reader.done():
            self._reader.set_result(None)

    def _send(self, data: memoryview) -> int:
        if self._lost:
            raise self._lost
        if self._fd < 0:
            raise DeviceError(DeviceErrorKind.GONE, self._settings.port, "is not open")
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            detail = f"unplugged ({error.strerror})"
            raise DeviceError(DeviceErrorKind.GONE, self._settings.port, detail) from None

    async def _writable(self) -> None:
        loop, fd = asyncio.get_running_loop(), self._fd
        ready = self._writer = loop.create_future()
        loop.add_writer(fd, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            if fd == self._fd:  # closed meanwhile: its number may be another file's by now
                loop.remove_writer(fd)


async def _in_thread(work: Callable[[], None]) -> None:
    """Does what may block in a thread of its own that does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def run() -> None:
        try:
            work()
        finally:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(lambda: None if done.done() else done.set_result(None))

    threading.Thread(target=run, name="serial-close", daemon=True).start()
    await done


def _close_unwanted(opening: asyncio.Future[OpenPort]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        threading.Thread(target=opening.result().close, name="serial-close", daemon=True).start()
