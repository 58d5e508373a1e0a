"""A serial line of frames: what the device sends by itself, and answers to what it is asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from ...errors import DeviceError, DeviceErrorKind
from ...protocols.framer import Framer
from ...protocols.framing import framer_for
from ...protocols.framing_settings import Framing, IdleFraming
from ...protocols.questions.exchange import Exchange
from ...protocols.questions.question import Question, Verdict
from .bus import SerialBus
from .port import SerialSettings

_MOST_UNREAD, _MOST_DURING_QUESTIONS = 64, 1024
"""Batches of frames that are not read yet."""
_ATTEMPTS = 3
"""At an answer that can be doubted."""
_FIRST_QUIET_S = 0.1
"""What comes sooner after the opening may be the rest of a frame that the device was sending."""
_SHORTEST_S = 1e-6
"""What is left of a wait by rounding; waiting for it may not move the clock on."""


class FramedLine:
    """Frames of one open port. Which answer belongs to which question is decided by `protocols.Exchange`.

    Parameters:
        port: which port, and how it is set.
        framing: how frames are found, or what finds them. Raises SettingsError for an unknown checksum.
        keep: whether unsolicited frames are kept for `frames`, else they are counted and dropped; an attribute.
        strict: whether devices speak only when they are asked, one frame for each question.
        gap_s: seconds of silence between frames of a strict line.
        pause_s: seconds of silence that the line wants before each question.
    """

    def __init__(
        self,
        port: SerialSettings,
        framing: Framing | Framer,
        *,
        keep: bool,
        strict: bool = False,
        gap_s: float = 0.0,
        pause_s: float = 0.0,
    ) -> None:
        self._settings, self.keep = port, keep
        self._bus = SerialBus(port)
        self._framing = framing
        self._framer = framing if isinstance(framing, Framer) else framer_for(framing)
        self._gap_s = framing.gap if isinstance(framing, IdleFraming) else None
        self._exchange = Exchange(gap_s, pause_s, strict=strict)
        self._unread: deque[tuple[float, list[bytes]]] = deque()
        self.came_at = 0.0
        """When what `frames` has returned last came, on the event loop's clock."""
        self._unread_changed = asyncio.Event()
        self._asking = asyncio.Lock()
        self._heard = asyncio.Event()
        self._lost: Exception | None = None
        self._listening: asyncio.Task[None] | None = None
        self.unsolicited = 0
        self._overflown = 0

    @property
    def garbled(self) -> int:
        """Frames given up by the framing."""
        return self._framer.garbled

    def counters(self) -> dict[str, int]:
        """Counts worth exporting."""
        return {
            "garbled_frames": self.garbled,
            "late_answers": self._exchange.late,
            "doubtful_answers": self._exchange.doubtful,
            "unsolicited_frames": self.unsolicited,
            "overflown_frames": self._overflown,
        }

    async def open(self) -> None:
        """Opens the port and listens from now on. Raises DeviceError or SettingsError."""
        await self._bus.open()
        loop = asyncio.get_running_loop()
        self._exchange.open(loop.time())
        self._listening = loop.create_task(self._listen())

    async def close(self) -> None:
        """Closes the port; harmless when it is not open."""
        if self._listening:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        await self._bus.close()

    async def frames(self) -> list[bytes]:
        """The next unsolicited frames, at least one. Raises DeviceError when the device is gone."""
        while not self._unread:
            if self._lost:
                raise self._lost
            self._unread_changed.clear()
            await self._unread_changed.wait()
        self._unread_changed.set()
        self.came_at, frames = self._unread.popleft()
        return frames

    async def rest(self, seconds: float) -> None:
        """Waits, unless the device goes away meanwhile. Raises DeviceError (gone) then."""
        await self._bus.rest(seconds)

    async def send(self, data: bytes, timeout_s: float) -> None:
        """Sends without expecting an answer. Raises DeviceError."""
        async with self._asking:
            await self._bus.write(data, timeout_s)

    async def ask(
        self, data: bytes, accepts: Callable[[bytes], bool], timeout_s: float, *, repeatable: bool = False
    ) -> bytes:
        """Sends and returns the first frame that is accepted as an answer; see `put`.

        Parameters:
            data: bytes to send.
            accepts: whether a frame can be the answer.
            timeout_s: seconds to wait for it.
            repeatable: whether asking again changes nothing, as with a poll.
        """
        echoes = not isinstance(self._framing, Framer) and any(map(accepts, framer_for(self._framing).feed(data)))
        return await self.put(
            Question(data=data, accepts=accepts, timeout_s=timeout_s, repeatable=repeatable, echoes=echoes)
        )

    async def put(self, question: Question) -> bytes:
        """Puts a question as soon as no other answer can be taken for its own, and returns the answer.

        One question at a time; a repeatable one is asked again when its answer can be doubted.

        Raises DeviceError: timeout without an answer, garbled when none can be believed or the line is never quiet,
        gone when the device is unplugged.
        """
        async with self._asking:
            self._unread_changed.set()  # unread frames keep no answer waiting
            for _ in range(_ATTEMPTS if question.repeatable else 1):
                verdict = await self._ask_once(question)
                if verdict is Verdict.ANSWERED:
                    return self._exchange.answer
                if verdict is not Verdict.DOUBTFUL:
                    break
        waited = f"within {self._exchange.timeout_s(question):g} s"
        match verdict:
            case Verdict.UNANSWERED:
                raise self._error(DeviceErrorKind.TIMEOUT, f"no answer {waited}")
            case Verdict.GARBLED:
                raise self._error(DeviceErrorKind.GARBLED, f"no valid answer {waited}")
            case _:
                raise self._error(DeviceErrorKind.GARBLED, "answers that contradict each other")

    async def _ask_once(self, question: Question) -> Verdict:
        loop, exchange = asyncio.get_running_loop(), self._exchange
        give_up_at = loop.time() + exchange.patience_s(question)
        while (wait_s := exchange.wait_s(question, loop.time())) > _SHORTEST_S:
            if loop.time() > give_up_at:
                detail = "the line is never quiet; is another master on it, or the baud rate wrong?"
                raise self._error(DeviceErrorKind.GARBLED, detail)
            await self._bus.rest(wait_s)
        if not self.keep:
            self._framer.clear()
        exchange.ask(question, loop.time())
        try:
            await self._bus.write(question.data, question.timeout_s)
            while (verdict := exchange.verdict(loop.time())) is Verdict.PENDING:
                if self._lost:
                    raise self._lost
                self._heard.clear()
                check_at = exchange.check_at()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(check_at):
                        await self._heard.wait()
                if loop.time() >= check_at and (held := exchange.release_held()):
                    self._take(held, loop.time())
            return verdict
        finally:
            exchange.give_up(loop.time())

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        whole_from: float | None = loop.time() + _FIRST_QUIET_S
        try:
            while True:
                try:
                    async with asyncio.timeout(self._gap_s):
                        data = await self._bus.read()
                    if whole_from is not None and loop.time() - self._bus.age_s < whole_from:
                        self._framer.begin_within_frame()
                    whole_from = None
                    left = self._take(self._exchange.receive(data, loop.time()), loop.time())
                except TimeoutError:
                    left = self._unclaimed(self._framer.flush(loop.time()), loop.time())
                if left and self.keep:
                    await self._keep(left, loop.time() - self._bus.age_s)
                self.unsolicited += 0 if self.keep else len(left)
        except Exception as error:  # of the device or unexpected: whoever reads or asks gets it
            self._lost = error
            self._heard.set()
            self._unread_changed.set()

    async def _keep(self, frames: list[bytes], came_at: float) -> None:
        """Has frames read later. While they are not read the line waits, but not while something is asked."""
        if len(self._unread) >= _MOST_DURING_QUESTIONS:
            self._overflown += len(frames)
            return
        self._unread.append((came_at, frames))
        self._unread_changed.set()
        while len(self._unread) >= _MOST_UNREAD and not self._asking.locked():
            self._unread_changed.clear()
            await self._unread_changed.wait()

    def _take(self, data: bytes, now: float) -> list[bytes]:
        return self._unclaimed(self._framer.feed(data, now), now)

    def _unclaimed(self, frames: list[bytes], now: float) -> list[bytes]:
        if self._exchange.is_idle:
            return frames
        left = [frame for frame in frames if not self._exchange.take(frame, now)]
        self._heard.set()
        return left

    def _error(self, kind: DeviceErrorKind, detail: str) -> DeviceError:
        return DeviceError(kind, self._settings.port, detail)
