"""Samples become messages: stamped, numbered, encoded."""

from __future__ import annotations

import logging
import uuid

import msgspec

from iofog_sdk import IoMessage, MessageError, MessageTemplate
from iofog_sdk.messages import INT32_MAX

from ..clocks import monotonic
from ..command import Command, Result
from ..filters import FilterChain
from ..outbox.share import AnyOutbox
from ..reading import Forwarded, Reading, Sample
from . import senml
from .clock import Clock, is_in_doubt

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
    """Turns samples into messages of one run: one `groupid`, counted from 1 (a new one when the numbers end).

    Parameters:
        publisher: UUID of the microservice.
        clock: for readings without a time of their own.
        outbox: where messages go.
    """

    def __init__(self, publisher: str, clock: Clock, outbox: AnyOutbox) -> None:
        self._clock, self._outbox = clock, outbox
        self._publisher = publisher
        self.groups: set[str] = set()
        """Every `groupid` of this run; a second one after 2 147 483 647 messages."""
        self._begin_group()
        self.base_name = ""
        self._filters = FilterChain(())
        self.made = 0
        """Messages made so far."""

    def _begin_group(self) -> None:
        """A sequence counted from 1; the format has no number beyond 2**31 - 1."""
        self.group, self._number = uuid.uuid4().hex, 0
        self.groups.add(self.group)
        self._templates: dict[tuple[str, str, str], MessageTemplate] = {}

    def _template(self, header: tuple[str, str, str]) -> MessageTemplate:
        """A new template of messages with this infotype, infoformat and tag."""
        message = IoMessage(groupid=self.group, publisher=self._publisher, infotype=header[0])
        message.infoformat, message.tag = header[1:]
        if len(self._templates) >= _MAX_TEMPLATES:
            self._templates.clear()
        template = self._templates[header] = MessageTemplate(message)
        return template

    def use(self, source: str, filters: FilterChain) -> None:
        """Names readings after this source and passes them through these filters from now on."""
        self.base_name = source if source[-1] in ":/." else f"{source}:"
        self._filters = filters

    def put_result(self, command: Command, result: Result, took_s: float) -> None:
        """Puts the result of a command into the outbox, as one message."""
        now, mark = self._clock.stamp()
        readings, _ = _stamped(result.readings, now)
        pack = senml.encode(readings, self.base_name, clock_set=not is_in_doubt(mark)) if readings else b"[]"
        answer = _Answer(
            command=command.name,
            id=command.id,
            ok=result.ok,
            detail=result.detail[:MAX_DETAIL],
            took_s=round(took_s, 6),
            readings=msgspec.Raw(pack),
        )
        self._put((RESULT_TYPE, "utf-8", ""), msgspec.json.encode(answer), len(readings), mark)

    def put(self, sample: Sample | Forwarded) -> None:
        """Puts a sample, or what is forwarded, into the outbox, as one message."""
        if not isinstance(sample, Forwarded):
            self._put_readings(sample, (senml.INFO_TYPE, "utf-8", ""))
        elif not isinstance(sample.content, bytes):
            self._put_readings(sample.content, (senml.INFO_TYPE, "utf-8", sample.tag))
        else:
            try:
                self._put((sample.infotype, sample.infoformat, sample.tag), sample.content, 1)
            except MessageError as error:
                self._not_encodable(1, error)

    def _not_encodable(self, readings: int, error: Exception) -> None:
        log.error("a sample could not become a message: %s", error)
        self._outbox.refuse(readings, "not encodable")

    def _put_readings(self, sample: Sample, header: tuple[str, str, str]) -> None:
        now, mark = self._clock.stamp()
        try:
            stamped, own_times = _stamped(sample, now)
            stamped = self._filters.apply_to_all(stamped, monotonic())
        except (ValueError, TypeError, OverflowError) as error:
            self._not_encodable(len(sample), error)
            return
        if len(stamped) < len(sample):
            self._outbox.refuse(len(sample) - len(stamped), "filtered")
        if not stamped:
            return
        in_doubt = is_in_doubt(mark) and own_times < len(sample)
        try:
            pack = senml.encode(stamped, self.base_name, clock_set=not in_doubt)
            # A time that the device has given is not this clock's to correct.
            self._put(header, pack, len(stamped), "" if own_times else mark)
        except (ValueError, TypeError, OverflowError) as error:  # MessageError and msgspec's are ValueErrors
            self._not_encodable(len(stamped), error)

    def _put(self, header: tuple[str, str, str], content: bytes, readings: int, mark: str = "") -> None:
        """Numbers and puts one message. Raises MessageError."""
        if self._number >= INT32_MAX:
            self._begin_group()
        template = self._templates.get(header) or self._template(header)
        body = template.encode(self._number + 1, content)
        self._number += 1
        self.made += 1
        self._outbox.put(body, readings, mark)


def _stamped(sample: Sample, now: float) -> tuple[list[Reading], int]:
    """Readings with times, and how many had one of their own."""
    stamped, own_times = [], 0
    for reading in sample:
        if reading.time > 0:
            own_times += 1
            stamped.append(reading)
        else:
            stamped.append(msgspec.structs.replace(reading, time=now + reading.time))
    return stamped, own_times
