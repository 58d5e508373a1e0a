"""Corrects the times of messages that were made while the clock was wrong, when they are sent at last."""

from __future__ import annotations

from iofog_sdk import IoMessage

from ..outbox.entry import Entry
from . import senml
from .clock import Clock, is_in_doubt


class TimeCorrection:
    """What is sent for an entry of the outbox.

    Parameters:
        clock: that has stamped the messages of this boot.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def body(self, entry: Entry) -> bytes:
        """The message itself, or with its time corrected where that has become possible."""
        mark = entry.clock
        if not mark or mark == self._clock.right_mark:
            return entry.body
        correction_s = self._clock.correction_s(mark, entry.since)
        if correction_s is None or (correction_s == 0 and not is_in_doubt(mark)):
            return entry.body
        message = IoMessage.from_bytes(entry.body)
        if message.infotype != senml.INFO_TYPE:
            return entry.body
        message.contentdata = senml.shift_time(message.contentdata, correction_s)
        return message.to_bytes()
