"""Samples become messages: stamped, numbered, encoded."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence

import msgspec

from iofog_sdk import IoMessage, MessageError, MessageTemplate

from . import senml
from .clock import Clock
from .filters import FilterChain
from .outbox import Outbox
from .reading import Quality, Quantity, Reading, Sample
from .store import Entry

log = logging.getLogger("device_bridge")


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
        self._valid = {quantity.name: quantity.valid for quantity in quantities if quantity.valid}
        self._template = MessageTemplate(
            IoMessage(
                groupid=uuid.uuid4().hex,
                publisher=publisher,
                infotype=senml.INFO_TYPE,
                infoformat=senml.INFO_FORMAT,
            )
        )
        self.base_name = ""
        """Put before the name of every reading."""
        self.filters = FilterChain(())
        """What readings go through."""
        self.made = 0
        """Messages made so far."""

    def put(self, sample: Sample) -> None:
        """Puts a sample into the outbox, as one message."""
        now, mark = self._clock.now(), self._clock.mark
        stamped = [
            passed
            for r in sample
            if (passed := self.filters.apply(self._checked(r if r.time else msgspec.structs.replace(r, time=now))))
        ]
        if len(stamped) < len(sample):
            self._outbox.refuse(len(sample) - len(stamped), "filtered")
        if not stamped:
            return
        try:
            body = self._template.encode(self.made + 1, senml.encode(stamped, self.base_name, clock_set=not mark))
        except (MessageError, msgspec.MsgspecError, TypeError) as error:
            log.error("a sample could not become a message: %s", error)
            self._outbox.refuse(len(stamped), "not encodable")
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
        message.contentdata = senml.shift_time(message.contentdata, correction_s)
        return message.to_bytes()
