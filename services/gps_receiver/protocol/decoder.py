"""Sentences become readings: a table from the type of a sentence to what reads it. No I/O."""

from __future__ import annotations

from device_bridge import Reading

from .fields import Fields
from .framing import Sentence
from .sentences import FIX_SENTENCES, Decode, ReceiverState
from .vessel import VESSEL_SENTENCES

_SENTENCES: dict[str, Decode] = {**FIX_SENTENCES, **VESSEL_SENTENCES}


class Decoder:
    """Turns the sentences of one receiver into readings, whatever their talker.

    Without a fix, position is given as bad, without a value: never as 0, 0. What receivers send as its altitude and
    precision then (99.99) means nothing and gives no reading, as does a field that is empty. A field that cannot be
    makes its own quantity bad, with the reason.
    """

    def __init__(self) -> None:
        self._receiver = ReceiverState()
        self.malformed = 0
        """Sentences with a right checksum and a field that cannot be."""
        self.ignored = 0
        """Sentences of a type that is not read, proprietary ones among them."""

    def decode(self, sentence: Sentence) -> list[Reading]:
        """The readings of one sentence, none for a type that is not known."""
        if sentence.after_damage:
            self._receiver.satellites.note_damage()
        decode = _SENTENCES.get(sentence.type) if sentence.talker != "P" else None
        if decode is None:
            self.ignored += 1
            return []
        fields = Fields(sentence)
        readings = decode(fields, self._receiver)
        self.malformed += bool(fields.malformed)
        return readings
