"""Bridges an instrument whose line or record protocol is described in settings."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, ClassVar

from msgspec import Meta

from device_bridge import (
    Command,
    CommandedSettings,
    CommandError,
    DeviceError,
    DeviceErrorKind,
    DeviceService,
    Quantity,
    Result,
    Sample,
    Settings,
    SettingsError,
    run,
)
from device_bridge.buses import FramedLine, SerialSettings
from device_bridge.protocols import Checksum, Framing, LineFraming, RecordField

from .records import Malformed, Pattern, Record, RegexRecord, pattern_of, taker_for, text_of
from .templates import CommandTemplate, Template, check_parameters, fill, literal, parameters_of


class PollSettings(Settings, frozen=True, kw_only=True):
    """How a device is asked that does not speak by itself."""

    send: Template
    interval: Annotated[float, Meta(ge=0.01, le=86_400, description="seconds from question to question")] = 1.0
    timeout_s: Annotated[float, Meta(gt=0, le=600, description="seconds to wait for the answer")] = 1.0
    answer: Annotated[Pattern, Meta(description="frames that are answers; by default every frame")] = ""


class InstrumentSettings(CommandedSettings, frozen=True, kw_only=True):
    """What this service can be told beside the settings every service has."""

    profiles: ClassVar[str] = "serial_instrument"

    profile: Annotated[str, Meta(description="ready settings for a known device; all others change them")] = ""
    serial: SerialSettings
    framing: Annotated[Framing, Meta(description="how records are found; see device_bridge's README")] = LineFraming()
    record: Annotated[Record, Meta(description="how values are found in a record; see below")] = RegexRecord(
        pattern=r"\s*(?P<value>[-+0-9.eE]+).*"
    )
    fields: Annotated[tuple[RecordField, ...], Meta(description="the values, and what they mean", min_length=1)] = (
        RecordField(name="value"),
    )
    ignore: Annotated[Pattern, Meta(description="records to pass over, as banners or comments")] = ""
    no_value: Annotated[
        dict[str, str], Meta(description="pattern of a record without values: what it means, as `overload`")
    ] = {}
    poll: Annotated[PollSettings | None, Meta(description="how to ask; without it the service listens")] = None
    commands: Annotated[dict[str, CommandTemplate], Meta(description="what can be told, by name; see below")] = {}
    append_checksum: Annotated[bool, Meta(description="end what is sent with framing's checksum too")] = True


class SerialInstrument(DeviceService[InstrumentSettings]):
    """Any line or record protocol on a serial port, described in settings."""

    def __init__(self, settings: InstrumentSettings) -> None:
        super().__init__(settings)
        self.line = FramedLine(settings.serial, settings.framing, keep=settings.poll is None)
        self._take = taker_for(settings.record, [field.place for field in settings.fields])
        self._ignored = pattern_of(settings.ignore, "ignore") if settings.ignore else None
        self._no_value = [(pattern_of(text, "no_value"), why) for text, why in settings.no_value.items()]
        checksum = settings.framing.checksum
        self._checksum = Checksum(checksum) if checksum and settings.append_checksum else None
        self._answers = {
            name: (pattern_of(c.answer, f"commands.{name}.answer"), pattern_of(c.failure, f"commands.{name}.failure"))
            for name, c in settings.commands.items()
        }
        for name, command in settings.commands.items():
            literal(re.sub(r"\{\w*(?::[^{}]*)?\}", "", command.send), f"commands.{name}.send")
        if settings.poll and parameters_of(settings.poll.send):
            raise SettingsError("poll.send", settings.poll.send, "has a place for a parameter", "Only commands have.")
        self._poll_answer = pattern_of(settings.poll.answer, "poll.answer") if settings.poll else None
        self._malformed = self._unanswered = 0

    @classmethod
    def quantities_of(cls, settings: InstrumentSettings) -> tuple[Quantity, ...]:
        return tuple(field.quantity for field in settings.fields)

    async def open(self) -> None:
        await self.line.open()

    async def close(self) -> None:
        await self.line.close()

    async def stream(self) -> AsyncIterator[Sample]:
        if self.settings.poll:
            async for sample in self._asked(self.settings.poll):
                yield sample
        while True:
            for frame in await self.line.frames():
                if sample := self._sample(frame):
                    yield sample

    async def _asked(self, poll: PollSettings) -> AsyncIterator[Sample]:
        loop = asyncio.get_running_loop()
        due, answered = loop.time(), True
        while True:
            try:
                question = self._bytes(poll.send, "poll.send")
                frame = await self.line.ask(question, self._is_answer, poll.timeout_s, repeatable=True)
            except DeviceError as error:
                if error.kind is not DeviceErrorKind.TIMEOUT:
                    raise
                self._unanswered += 1
                if answered and not self.settings.stale_after:
                    answered = False
                    yield self.all_bad(error.detail)
            else:
                answered = True
                if sample := self._sample(frame):
                    yield sample
            due = max(due + poll.interval, loop.time())
            await self.line.rest(due - loop.time())

    def _is_answer(self, frame: bytes) -> bool:
        return self._poll_answer is None or self._poll_answer.search(frame.decode("latin-1")) is not None

    def _sample(self, frame: bytes) -> Sample:
        text = text_of(frame)
        if self._ignored and self._ignored.search(text):
            return ()
        for pattern, reason in self._no_value:
            if pattern.search(text):
                return self.all_bad(reason)
        try:
            raw = self._take(frame)
        except Malformed as error:
            self._malformed += 1
            self.log.debug("%r %s", frame[:200], error)
            return ()
        return [field.reading(raw(field.place)) for field in self.settings.fields]

    async def execute(self, command: Command) -> Result:
        template = self.settings.commands.get(command.name)
        if template is None:
            known = ", ".join(sorted(self.settings.commands)) or "none"
            raise CommandError(f"unknown command {command.name!r}; this device has {known}")
        check_parameters(template, command.parameters)
        data = self._bytes(template.send, f"commands.{command.name}.send", command)
        answer, failure = self._answers[command.name]
        if not template.answer:
            await self.line.send(data, template.timeout_s)
            return Result(ok=True, detail="sent")

        def refused(text: str) -> bool:
            return bool(template.failure) and failure.search(text) is not None

        def accepts(frame: bytes) -> bool:
            text = frame.decode("latin-1")
            return answer.search(text) is not None or refused(text)

        text = (await self.line.ask(data, accepts, template.timeout_s)).decode("latin-1")
        return Result(ok=not refused(text), detail=text if text.isprintable() else text.encode("latin-1").hex(" "))

    def _bytes(self, template: str, setting: str, command: Command | None = None) -> bytes:
        data = fill(template, command.parameters if command else {}, setting)
        return self._checksum.append(data) if self._checksum else data

    def counters(self) -> dict[str, int]:
        return self.line.counters() | {
            "malformed_records": self._malformed,
            "unanswered_questions": self._unanswered,
        }


def main() -> None:
    """Runs the service as this process."""
    run(SerialInstrument)
