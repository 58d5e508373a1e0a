"""Samples become messages: stamped, numbered, encoded."""

from __future__ import annotations

import logging
import uuid

import msgspec

from iofog_sdk import IoMessage, MessageError, MessageTemplate

from ..command import Command, Result
from ..filters import FilterChain
from ..outbox.durable import Outbox
from ..reading import Forwarded, Reading, Sample
from . import senml
from .clock import Clock

log = logging.getLogger("device_bridge")

RESULT_TYPE = "application/json"
"""The result of a command: an object of `command`, `id`, `ok`, `detail`, `took_s`, and a SenML pack `readings`."""
MAX_DETAIL = 1000
_MAX_TEMPLATES = 64


class _Answer(msgspec.Struct):
    command: str
    id: str
    ok: bool
    detail: str
    took_s: float
    readings: msgspec.Raw


class MessageMaker:
    """Turns samples into messages of one run: one `groupid`, counted from 1.

    Parameters:
        publisher: UUID of the microservice.
        clock: for readings without a time of their own.
        outbox: where messages go.
    """

    def __init__(self, publisher: str, clock: Clock, outbox: Outbox) -> None:
        self._clock, self._outbox = clock, outbox
        self.group, self._publisher = uuid.uuid4().hex, publisher
        self._templates: dict[tuple[str, str, str], MessageTemplate] = {}
        self._template, self._result_template = (self._with(kind) for kind in (senml.INFO_TYPE, RESULT_TYPE))
        self.base_name = ""
        self._filters = FilterChain(())
        self.made = 0
        """Messages made so far."""

    def _with(self, infotype: str, infoformat: str = "utf-8", tag: str = "") -> MessageTemplate:
        """The template of messages with this header."""
        header = (infotype, infoformat, tag)
        found = self._templates.get(header)
        if found is None:
            message = IoMessage(groupid=self.group, publisher=self._publisher, infotype=infotype)
            message.infoformat, message.tag = infoformat, tag
            if len(self._templates) >= _MAX_TEMPLATES:
                self._templates.clear()
            found = self._templates[header] = MessageTemplate(message)
        return found

    def use(self, source: str, filters: FilterChain) -> None:
        """Names readings after this source and passes them through these filters from now on."""
        self.base_name = source if source[-1] in ":/." else f"{source}:"
        self._filters = filters

    def put_result(self, command: Command, result: Result, took_s: float) -> None:
        """Puts the result of a command into the outbox, as one message."""
        now, mark = self._clock.now(), self._clock.mark
        readings = [_stamped(r, now) for r in result.readings]
        pack = senml.encode(readings, self.base_name, clock_set=not mark) if readings else b"[]"
        answer = _Answer(
            command=command.name,
            id=command.id,
            ok=result.ok,
            detail=result.detail[:MAX_DETAIL],
            took_s=round(took_s, 6),
            readings=msgspec.Raw(pack),
        )
        self.made += 1
        self._outbox.put(self._result_template.encode(self.made, msgspec.json.encode(answer)), len(readings), mark)

    def put(self, sample: Sample | Forwarded) -> None:
        """Puts a sample, or what is forwarded, into the outbox, as one message."""
        if not isinstance(sample, Forwarded):
            self._put_readings(sample, self._template)
        elif not isinstance(sample.content, bytes):
            self._put_readings(sample.content, self._with(senml.INFO_TYPE, tag=sample.tag))
        else:
            try:
                template = self._with(sample.infotype, sample.infoformat, sample.tag)
                body = template.encode(self.made + 1, sample.content)
            except MessageError as error:
                self._not_encodable(1, error)
                return
            self.made += 1
            self._outbox.put(body, 1)

    def _not_encodable(self, readings: int, error: Exception) -> None:
        log.error("a sample could not become a message: %s", error)
        self._outbox.refuse(readings, "not encodable")

    def _put_readings(self, sample: Sample, template: MessageTemplate) -> None:
        now, mark = self._clock.now(), self._clock.mark
        try:
            stamped = [kept for r in sample if (kept := self._filters.apply(_stamped(r, now)))]
        except (ValueError, TypeError, OverflowError) as error:
            self._not_encodable(len(sample), error)
            return
        if len(stamped) < len(sample):
            self._outbox.refuse(len(sample) - len(stamped), "filtered")
        if not stamped:
            return
        try:
            body = template.encode(self.made + 1, senml.encode(stamped, self.base_name, clock_set=not mark))
        except (ValueError, TypeError, OverflowError) as error:  # MessageError and msgspec's are ValueErrors
            self._not_encodable(len(stamped), error)
            return
        self.made += 1
        self._outbox.put(body, len(stamped), mark)


def _stamped(reading: Reading, now: float) -> Reading:
    if reading.time > 0:
        return reading
    return msgspec.structs.replace(reading, time=now + reading.time)
