"""A serial line of frames: what the device sends by itself, and answers to what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from ...errors import DeviceError, DeviceErrorKind
from ...protocols.framing import Framing, IdleFraming, framer_for
from .bus import SerialBus
from .port import SerialSettings

_MOST_UNREAD = 64


class _Question(NamedTuple):
    accepts: Callable[[bytes], bool]
    answer: asyncio.Future[bytes]


class FramedLine:
    """Frames of one open port.

    Parameters:
        port: which port, and how it is set.
        framing: how frames are found. Raises SettingsError for an unknown checksum.
        keep: whether frames nobody asked for are kept for `frames`; else they are counted and forgotten.
    """

    def __init__(self, port: SerialSettings, framing: Framing, *, keep: bool) -> None:
        self._settings, self._keep = port, keep
        self._bus = SerialBus(port)
        self._framer = framer_for(framing)
        self._gap_s = framing.gap if isinstance(framing, IdleFraming) else None
        self._frames: asyncio.Queue[list[bytes] | DeviceError] = asyncio.Queue(_MOST_UNREAD)
        self._question: _Question | None = None
        self._asking = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None
        self.unasked = 0

    @property
    def garbled(self) -> int:
        """Frames given up by the framing."""
        return self._framer.garbled

    async def open(self) -> None:
        """Opens the port and listens from now on. Raises DeviceError or SettingsError."""
        await self._bus.open()
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        """Closes the port; harmless when it is not open."""
        if self._listening:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        await self._bus.close()

    async def frames(self) -> list[bytes]:
        """The next frames nobody asked for, at least one. Raises DeviceError when the device is gone."""
        found = await self._frames.get()
        if isinstance(found, DeviceError):
            raise found
        return found

    async def rest(self, seconds: float) -> None:
        """Waits, unless the device goes away meanwhile. Raises DeviceError (gone) then."""
        await self._bus.rest(seconds)

    async def send(self, data: bytes, timeout_s: float) -> None:
        """Sends without expecting an answer. Raises DeviceError."""
        async with self._asking:
            await self._bus.write(data, timeout_s)

    async def ask(self, data: bytes, accepts: Callable[[bytes], bool], timeout_s: float) -> bytes:
        """Sends and returns the first frame that is accepted as an answer; one question at a time.

        Raises DeviceError: timeout without an answer, gone when the device is unplugged.
        """
        async with self._asking:
            question = self._question = _Question(accepts, asyncio.get_running_loop().create_future())
            try:
                async with asyncio.timeout(timeout_s):
                    await self._bus.write(data, timeout_s)
                    return await question.answer
            except TimeoutError:
                detail = f"no answer within {timeout_s:g} s"
                raise DeviceError(DeviceErrorKind.TIMEOUT, self._settings.port, detail) from None
            finally:
                self._question = None

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    async with asyncio.timeout(self._gap_s):
                        data = await self._bus.read()
                    frames = self._framer.feed(data, loop.time())
                except TimeoutError:
                    frames = self._framer.flush(loop.time())
                left = [frame for frame in frames if not self._answers(frame)]
                if left and self._keep:
                    await self._frames.put(left)
                self.unasked += 0 if self._keep else len(left)
        except DeviceError as error:
            if self._question and not self._question.answer.done():
                self._question.answer.set_exception(error)
            await self._frames.put(error)

    def _answers(self, frame: bytes) -> bool:
        question = self._question
        if question is None or question.answer.done() or not question.accepts(frame):
            return False
        question.answer.set_result(frame)
        return True
