"""Bridges an instrument whose line or record protocol is described in settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from device_bridge import (
    Command,
    CommandSpec,
    DeviceError,
    DeviceErrorKind,
    DeviceService,
    Quantity,
    Result,
    Sample,
    aged,
    run,
)
from device_bridge.buses import FramedLine
from device_bridge.control import Ticker

from .description import Description, Question, Request, commands_of, quantities_of
from .settings import InstrumentSettings


class SerialInstrument(DeviceService[InstrumentSettings]):
    """Any line or record protocol on a serial port, described in settings."""

    def __init__(self, settings: InstrumentSettings) -> None:
        super().__init__(settings)
        self.device = Description(settings)
        listens = not (self.device.questions or self.device.start)
        self.line = self.own(FramedLine(settings.serial, settings.framing, keep=listens, pause_s=settings.pause))
        self._unanswered = self._restarts = 0

    @classmethod
    def check_settings(cls, settings: InstrumentSettings) -> None:
        Description(settings)

    @classmethod
    def quantities_of(cls, settings: InstrumentSettings) -> tuple[Quantity, ...]:
        return quantities_of(settings)

    @classmethod
    def commands_of(cls, settings: InstrumentSettings) -> tuple[CommandSpec, ...]:
        return commands_of(settings)

    async def stream(self) -> AsyncIterator[Sample]:
        await self._start()
        async for sample in self._asked() if self.device.questions else self._heard():
            yield sample

    async def _start(self) -> None:
        """Sends what makes the device ready; what it sends meanwhile is counted, not read."""
        self.line.keep = self.line.keep and not self.device.start
        for request in self.device.start:
            await self._put(request, request.data({}))
        self.line.keep = not self.device.questions

    async def _heard(self) -> AsyncIterator[Sample]:
        patience_s = self.settings.restart_after if self.device.start else 0
        while True:
            try:
                async with asyncio.timeout(patience_s or None):
                    frames = await self.line.frames()
            except TimeoutError:
                self._restarts += 1
                self.log.info("silent for %g s; start is sent again", patience_s)
                await self._start()
                frames = []
            for frame in frames:
                if sample := self.device.sample(frame):
                    yield aged(sample, asyncio.get_running_loop().time() - self.line.came_at)

    async def _asked(self) -> AsyncIterator[Sample]:
        loop = asyncio.get_running_loop()
        tickers = {question: Ticker(question.interval_s) for question in self.device.questions}
        due = dict.fromkeys(tickers, loop.time())
        while True:
            question = min(due, key=lambda each: due[each])
            await self.line.rest(max(0.0, due[question] - loop.time()))
            if sample := await self._ask(question):
                yield sample
            due[question] = loop.time() + tickers[question].advance()

    async def _ask(self, question: Question) -> Sample:
        try:
            frame = await self.line.ask(question.data({}), question.accepts, question.timeout_s, repeatable=True)
        except DeviceError as error:
            if error.kind not in (DeviceErrorKind.TIMEOUT, DeviceErrorKind.GARBLED):
                raise
            self._unanswered += 1
            return question.fail(error.detail) if not self.settings.stale_after else ()
        question.is_failing = False
        return self.device.sample(frame, question.kinds)

    async def execute(self, command: Command) -> Result:
        request = self.device.commands[command.name]
        answer = await self._put(request, request.data(command.parameters))
        return Result(ok=True, detail="sent") if answer is None else request.result(answer)

    async def _put(self, request: Request, data: bytes) -> bytes | None:
        if request.awaits_answer:
            return await self.line.ask(data, request.accepts, request.timeout_s)
        await self.line.send(data, request.timeout_s)
        return None

    def counters(self) -> dict[str, int]:
        return super().counters() | {
            "malformed_records": self.device.malformed,
            "bad_values": self.device.bad_values,
            "unanswered_questions": self._unanswered,
            "restarts": self._restarts,
        }


def main() -> None:
    """Runs the service as this process."""
    run(SerialInstrument)
