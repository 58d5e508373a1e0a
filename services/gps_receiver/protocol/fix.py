"""How far a fix is to be trusted: what the sentences say of it, made to agree. No I/O.

Follows NMEA 0183 version 4.11 (status, mode, quality and navigational status of RMC, GLL, GNS, VTG and GGA: section
8.3) and, for what receivers make of it, gpsd's "NMEA Revealed" (https://gpsd.io/NMEA.html, Error status indications).
"""

from __future__ import annotations

from typing import NamedTuple

from device_bridge import Quality

_SAME_FIX_S = 10.0
_DECISIVE = ("GGA", "GNS")
"""Sentences that have no position where they say that there is no fix."""
_DAY_S = 86_400.0


class Fix(NamedTuple):
    """What a statement about the fix means for the values it is about."""

    quality: Quality
    reason: str = ""


VALID = Fix(Quality.GOOD)
NO_FIX = Fix(Quality.BAD, "no fix")
ESTIMATED = Fix(Quality.UNCERTAIN, "estimated by dead reckoning")
MANUAL = Fix(Quality.UNCERTAIN, "entered by hand")
SIMULATED = Fix(Quality.UNCERTAIN, "simulated")
CAUTION = Fix(Quality.UNCERTAIN, "the receiver advises caution")
UNSAFE = Fix(Quality.UNCERTAIN, "the receiver calls it unsafe")
CONTRADICTED = Fix(Quality.UNCERTAIN, "no fix, says another sentence")
DENIED = Fix(Quality.BAD, "no fix, though another sentence has one")
"""For a sentence whose position another one gives as uncertain."""
UNKNOWN = Fix(Quality.UNCERTAIN, "of a mode that is not known")
"""A letter that a later version may have, in a sentence that says no more of the fix than this letter."""

MODES = {
    **dict.fromkeys("ADFPR", VALID),
    "C": CAUTION,  # Quectel, as U
    "E": ESTIMATED,
    "M": MANUAL,
    "N": NO_FIX,
    "S": SIMULATED,
    "U": UNSAFE,
    "V": NO_FIX,
}
"""By the mode letter of RMC, GLL, GNS, VTG."""

QUALITIES = {
    **dict.fromkeys("123459", VALID),  # 9: NovAtel, for corrections by satellite
    "": NO_FIX,
    "0": NO_FIX,
    "6": ESTIMATED,
    "7": MANUAL,
    "8": SIMULATED,
}
"""By the quality indicator of GGA."""

_ORDER = (Quality.GOOD, Quality.UNCERTAIN, Quality.BAD)


def worst(*fixes: Fix) -> Fix:
    """The one that promises least."""
    return max(fixes, key=lambda fix: _ORDER.index(fix.quality))


def by_status(status: str, mode: str) -> Fix:
    """From the status and mode of RMC or GLL.

    Since version 2.3 the status is V for every mode but A and D, so that the mode decides what V means. A letter that
    is not known says nothing: the status decides.
    """
    fix = MODES.get(mode, VALID)
    if status == "A":
        return fix
    return fix if fix in (ESTIMATED, MANUAL, SIMULATED) else NO_FIX


def by_modes(modes: str) -> Fix:
    """From the modes of GNS, one letter for each system: those that take part decide, and the worst of them."""
    taking_part = [fix for mode in modes if (fix := MODES.get(mode, UNKNOWN)) is not NO_FIX]
    return worst(*taking_part) if taking_part else NO_FIX


class FixStatements:
    """What was last said of the fix, for sentences that say less of it than others, or something else."""

    def __init__(self) -> None:
        self.last = VALID
        """What held for the last position: for sentences without a status."""
        self._by_mode: tuple[float, Fix] | None = None
        self._is_unsafe = False
        self._said: dict[str, tuple[float, Quality]] = {}
        self._contradiction: tuple[float, Fix] | None = None

    def note(self, sentence: str, fix: Fix, time_s: float | None, *, has_mode: bool, navigation: str = "") -> Fix:
        """Notes what a position sentence says of the fix, and returns what it means beside the others of its second.

        Before version 2.3, RMC and GLL had a status and no mode. What GGA or GNS say of the same fix then tells
        an estimated from a measured one. Until a second in which all agree, a status without a fix makes the position
        of a GGA or GNS uncertain, and says nothing of its own; a GGA or GNS without one leaves no position.

        Parameters:
            sentence: its type.
            fix: what the sentence says itself.
            time_s: time of the fix, seconds since midnight.
            has_mode: whether the sentence has more than a status.
            navigation: navigational status of version 4.1: S, C, U, V; "" where there is none.
        """
        if navigation:
            self._is_unsafe = navigation == "U"
        if time_s is not None:
            if has_mode:
                self._by_mode = time_s, fix
            elif self._by_mode is not None:
                stated_at, stated = self._by_mode
                age_s = (time_s - stated_at) % _DAY_S
                if stated.quality is Quality.UNCERTAIN and age_s <= _SAME_FIX_S:
                    fix = stated
            fix = self._beside_others(sentence, fix, time_s)
        self.last = worst(fix, UNSAFE) if self._is_unsafe else fix
        return self.last

    def _beside_others(self, sentence: str, fix: Fix, time_s: float) -> Fix:
        self._said[sentence] = time_s, fix.quality
        self._said = {kind: it for kind, it in self._said.items() if (time_s - it[0]) % _DAY_S <= _SAME_FIX_S}
        here = {kind: quality for kind, (at, quality) in self._said.items() if at == time_s}
        is_new = self._contradiction is None
        if len({quality is Quality.BAD for quality in here.values()}) > 1:
            is_lost = any(here.get(kind) is Quality.BAD for kind in _DECISIVE)
            self._contradiction = time_s, NO_FIX if is_lost else CONTRADICTED
        elif len(here) == len(self._said):
            self._contradiction = None
        if self._contradiction is None or (time_s - self._contradiction[0]) % _DAY_S > _SAME_FIX_S:
            return fix
        meaning = self._contradiction[1]
        if fix.quality is Quality.BAD and meaning is CONTRADICTED and not is_new:
            return DENIED
        return worst(fix, meaning)
