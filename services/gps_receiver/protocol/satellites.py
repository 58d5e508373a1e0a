"""Satellites in view, of all systems and signals. No I/O.

Follows NMEA 0183 version 4.11, GSV (section 8.3): a group of sentences for each signal of each system, with the
identifier of the signal after the last satellite since version 4.10. Most satellites send several signals. Where
receivers differ: gpsd's "NMEA Revealed" (https://gpsd.io/NMEA.html, GSV and Talker IDs).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from device_bridge import Quality, Reading

from .fields import Fields
from .quantities import reading_of

_SYSTEMS = {"BD": "GB", "QZ": "GQ", "PQ": "GQ"}
"""Talkers of one system under one name: BeiDou, QZSS."""
_QUECTEL_SYSTEMS = {"4": "GB", "5": "GQ"}
"""Talker PQ names the system in a field of its own, after the signal."""
_COUNT = re.compile(r"[0-9]{1,3}")
_SIGNALS = frozenset("0123456789ABCDEF")
_DOUBTED_ROUNDS = 3
_Signal = tuple[str, str]
"""A system and the signal that its group begins with, "" for one of all signals."""


@dataclass
class _Group:
    """Sentences about one signal, as far as they have come; from some receivers, about several."""

    signal: _Signal
    messages: str
    announced: str
    received: int = 0
    listed: list[str] = field(default_factory=list)
    missed: int = 0


class SatellitesInView:
    """Counts distinct satellites of each system over one round of groups.

    A signal that comes again begins a new round. What a round has not got to yet counts as in the one before, and
    what a whole round has left out counts no longer.

    Something damaged may have been a sentence about satellites. The count is uncertain where that may have made it
    too small, before a first round without damage, or too great, as what was left out may have been damaged: for
    three rounds at most, as some receivers send binary frames between all sentences.
    """

    def __init__(self) -> None:
        self._open: dict[str, _Group] = {}
        self._round: dict[_Signal, _Group] = {}
        self._round_before: dict[_Signal, _Group] = {}
        self._rounds = 0
        self._is_damaged = False
        self._may_lack_some = False

    def note_damage(self) -> None:
        """Something that may have been a sentence about satellites could not be read."""
        self._is_damaged = True
        self._may_lack_some = self._may_lack_some or not self._rounds

    def read(self, fields: Fields) -> list[Reading]:
        """What a GSV says once its group is whole. A group with a gap gives no reading."""
        header = [fields.text(at) for at in range(3)]
        if not all(header):
            return []
        if not all(map(_COUNT.fullmatch, header)):
            fields.refuse("messages, number or satellites", ",".join(header))
            return []
        signal = self._signal(fields)
        if signal is None:
            return []
        messages, number, announced = header
        group = self._open.pop(signal[0], None)
        if int(number) == 1:
            group = _Group(signal, messages, announced)
        if group is None or (group.messages, group.received + 1, group.announced) != (
            messages,
            int(number),
            announced,
        ):
            self.note_damage()
            return []
        group.received += 1
        group.listed += self._numbers(fields)
        if group.received < int(messages):
            self._open[signal[0]] = group
            return []
        self._close(group)
        return [self._count()]

    def _signal(self, fields: Fields) -> _Signal | None:
        """Whose group it is; None where it cannot be told."""
        talker, count = fields.sentence.talker, len(fields.sentence.fields)
        system = _SYSTEMS.get(talker, talker)
        after = (count - 3) % 4
        if talker == "PQ" and after == 2:
            named = fields.text(count - 1)
            if named not in _QUECTEL_SYSTEMS:
                fields.refuse("system", named)
                return None
            system = _QUECTEL_SYSTEMS[named]
        elif after != 1:
            return system, ""  # three more fields are a satellite that is not tracked, without its last field
        signal = fields.text(3 + (count - 3) // 4 * 4)
        if signal and signal not in _SIGNALS:
            fields.refuse("signal", signal)
            return None
        return system, signal

    def _close(self, group: _Group) -> None:
        if group.signal in self._round:
            self._begin_round()
        system, signal = group.signal
        if not signal and not group.listed:  # no satellite of any signal
            for known in (self._round_before, self._round):
                for other in [each for each in known if each[0] == system]:
                    del known[other]
        self._round[group.signal] = group

    def _begin_round(self) -> None:
        for signal, group in self._round_before.items():
            if self._is_damaged and signal not in self._round and group.missed < _DOUBTED_ROUNDS:
                group.missed += 1
                self._round[signal] = group
        self._rounds += 1
        if not self._is_damaged or self._rounds >= _DOUBTED_ROUNDS:
            self._may_lack_some = False
        self._round_before, self._round = self._round, {}
        self._is_damaged = False

    def _count(self) -> Reading:
        satellites: set[tuple[str, str]] = set()
        reason = "sentences before the first whole round were damaged" if self._may_lack_some else ""
        for (system, _), group in (self._round_before | self._round).items():
            satellites.update((system, number) for number in group.listed)
            if group.missed:
                reason = f"{system} was left out, or its sentences damaged"
            if len(group.listed) != int(group.announced):
                reason = f"{system} announces {group.announced} satellites and lists {len(group.listed)}"
        return reading_of(
            "satellites_in_view", len(satellites), Quality.UNCERTAIN if reason else Quality.GOOD, reason
        )

    @staticmethod
    def _numbers(fields: Fields) -> list[str]:
        """The numbers of the satellites, "7" and "07" alike; a place without a number is empty."""
        texts = fields.sentence.fields[3:]
        places = (len(texts) + 1) // 4  # of one that is not tracked, the last field may be missing
        numbers = [number for text in texts[: places * 4 : 4] if (number := text.lstrip("0"))]
        for number in numbers:
            if not number.isdigit():
                fields.refuse("satellite", number)
        return [number for number in numbers if number.isdigit()]
