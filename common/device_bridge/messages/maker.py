"""Samples become messages: stamped, numbered, encoded."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence

import msgspec

from iofog_sdk import IoMessage, MessageError, MessageTemplate

from ..command import Command, Result
from ..filters import FilterChain
from ..outbox.durable import Outbox
from ..outbox.sqlite_store import Entry
from ..reading import Passed, Quality, Quantity, Reading, Sample
from . import senml
from .clock import Clock

log = logging.getLogger("device_bridge")

RESULT_TYPE = "application/json"
"""What became of a command: an object of `command`, `id`, `ok`, `detail`, `took_s`, and a SenML pack `readings`."""
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
        quantities: what the device measures; a value outside its range is marked uncertain, not left out.
    """

    def __init__(self, publisher: str, clock: Clock, outbox: Outbox, quantities: Sequence[Quantity] = ()) -> None:
        self._clock, self._outbox = clock, outbox
        self.set_quantities(quantities)
        self.group, self._publisher = uuid.uuid4().hex, publisher
        self._templates: dict[tuple[str, str, str], MessageTemplate] = {}
        self._template, self._result_template = (self._with(kind) for kind in (senml.INFO_TYPE, RESULT_TYPE))
        self.base_name = ""
        """Put before the name of every reading."""
        self.filters = FilterChain(())
        """What readings go through."""
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

    def set_quantities(self, quantities: Sequence[Quantity]) -> None:
        """What the device measures from now on."""
        self._valid = {quantity.name: quantity.valid for quantity in quantities if quantity.valid}

    def put_result(self, command: Command, result: Result, took_s: float) -> None:
        """Puts what became of a command into the outbox, as one message."""
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

    def put(self, sample: Sample | Passed) -> None:
        """Puts a sample, or what is passed on, into the outbox, as one message."""
        if not isinstance(sample, Passed):
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
            stamped = [passed for r in sample if (passed := self.filters.apply(self._checked(_stamped(r, now))))]
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

    def _checked(self, reading: Reading) -> Reading:
        valid = self._valid.get(reading.name)
        value = reading.value
        if valid is None or reading.quality is not Quality.GOOD or not isinstance(value, int | float):
            return reading
        if valid[0] <= value <= valid[1]:
            return reading
        reason = f"outside {valid[0]:g} to {valid[1]:g}"
        return msgspec.structs.replace(reading, quality=Quality.UNCERTAIN, reason=reason)

    def body(self, entry: Entry) -> bytes:
        """What is sent for an entry: itself, or with its time corrected when that has become possible."""
        correction_s = self._clock.correction_s(entry.clock) if entry.clock else None
        if correction_s is None:
            return entry.body
        message = IoMessage.from_bytes(entry.body)
        if message.infotype != senml.INFO_TYPE:
            return entry.body
        message.contentdata = senml.shift_time(message.contentdata, correction_s)
        return message.to_bytes()


def _stamped(reading: Reading, now: float) -> Reading:
    if reading.time > 0:
        return reading
    return msgspec.structs.replace(reading, time=now + reading.time)
